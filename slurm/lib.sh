# What the scripts of this folder share. They source it at their top, before anything that takes time: a signal only
# sets a variable, and `wait_for_child` passes it on, so one that comes early is not lost.
# shellcheck shell=bash

# A job ends with the exit status of what it runs. Of training: 0 finished, 65 incomplete (languages are in quarantine:
# no requeue), 70 stalled, 75 could not be requeued; 2 is something to fix, 1 a failure.
readonly EXIT_USER=2 EXIT_REQUEUE=75
if ((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] < 404)); then
    echo "slurm: found bash $BASH_VERSION, expected 4.4 or later on the machines of a job" >&2
    exit $EXIT_USER
fi
# A task of an array by its own name: its number may stand for the whole array.
if [[ -n ${SLURM_ARRAY_JOB_ID:-} ]]; then
    readonly THIS_JOB=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID
else
    readonly THIS_JOB=${SLURM_JOB_ID:-}
fi
readonly RESTARTS_ALLOWED=20 # of a job without a run directory that could tell whether it comes on

# SIGUSR1: the end of the job's time is near, or someone has asked it to stop; the second in which it came. The script's
# first line may have caught it already.
warned=${warned:-}
terminated="" # SIGTERM: SLURM is ending the job, or is about to
child=""      # the step or command at work
child_status=0
trap 'warned=$SECONDS' USR1
trap 'terminated=yes' TERM

say() { echo "$(date +%FT%T) slurm: $*" >&2; }

# The repository's folder, this cluster's settings, and Python.
enter_site() {
    cd "${MMS_DIST_HOME:-$SLURM_SUBMIT_DIR}" || exit $EXIT_USER
    source slurm/site.sh
    set +eu # site_setup is the site's, and its modules and environments are not written for this
    site_setup
    set -eu
    local command=${IN_CONTAINER[0]:-python}
    if ! command -v "$command" >/dev/null; then
        say "found no $command on ${SLURMD_NODENAME:-this machine}: fix site_setup or IN_CONTAINER in slurm/site.sh"
        exit $EXIT_USER
    fi
}

# Stop with the usage in $2 if there are fewer than $1 of the arguments after it.
need_arguments() {
    if (($# - 2 < $1)); then
        say "usage: $2"
        exit $EXIT_USER
    fi
}

python_here() { "${IN_CONTAINER[@]}" python "$@"; }

was_stopped() { [[ -n $warned$terminated ]]; }

# One task on each of the job's machines, with all of it. If one fails, all end.
on_every_machine() {
    export MMS_DIST_TASKS_PER_NODE=${SLURM_NTASKS_PER_NODE:-1} # in the step SLURM's variable is 1
    export MMS_DIST_GPUS_ON_NODE=${SLURM_GPUS_ON_NODE:-}       # the step's are those that were asked for
    # What asks for so much a task, or for no more than that, would give the one task on each machine a part of it only.
    unset SLURM_GPUS_PER_TASK SLURM_NTASKS_PER_GPU SLURM_TRES_PER_TASK SLURM_CPUS_PER_TASK SRUN_CPUS_PER_TASK \
        SLURM_EXCLUSIVE SLURM_EXACT SLURM_GPU_BIND SLURM_TRES_BIND
    exec srun --export=ALL --nodes="$SLURM_JOB_NUM_NODES" --ntasks="$SLURM_JOB_NUM_NODES" --ntasks-per-node=1 \
        --cpu-bind=none --kill-on-bad-exit=1 "${IN_CONTAINER[@]}" "$@"
}

# Whether process $1 will not die of SIGUSR1 (signal 10): it blocks it, or catches it.
minds_usr1() {
    local name mask
    while read -r name mask; do
        if [[ $name == SigBlk: || $name == SigCgt: ]] && ((16#$mask & 0x200)); then return 0; fi
    done 2>/dev/null <"/proc/$1/status"
    return 1
}

alive() { kill -0 "$child" 2>/dev/null; }

# Wait until $child has ended, and keep its exit status in $child_status. Once the job is warned the child is told with
# signal $1 (USR1 or TERM), again every few seconds: it may not yet have begun what it passes the signal on to.
wait_for_child() {
    local nap
    while alive; do
        if [[ -n $warned ]] && { [[ $1 != USR1 ]] || minds_usr1 "$child"; }; then
            kill "-$1" "$child" 2>/dev/null || true
        fi
        # A signal ends the wait, unless it came just before it: the nap does then.
        sleep 5 &
        nap=$!
        wait -n "$child" "$nap" || true
        kill "$nap" 2>/dev/null || true
    done
    wait "$child" || child_status=$?
}

# Run a command of mms-dist to its end, or until the job is warned.
run_command() {
    "${IN_CONTAINER[@]}" python -m launcher "$@" &
    child=$!
    wait_for_child TERM
}

# What SLURM is doing to this job: RUNNING, or COMPLETING and the reason once it ends it.
job_state() {
    (
        unset "${!SQUEUE_@}" # a user's own filters and forms
        squeue --noheader --states=all --jobs="$THIS_JOB" --format="%T %r" 2>/dev/null
    ) || echo RUNNING
}

# Put the job back into the queue; does not return. If SLURM is ending it already, then it was cancelled, or SLURM
# itself requeues it; but one whose time was over before it had saved may go on.
requeue() {
    local state
    state=$(job_state)
    if [[ $state != RUNNING* && $state != *TimeLimit* ]]; then
        say "SLURM is ending this job ($state): not requeued by this script"
        exit $EXIT_REQUEUE
    fi
    trap - USR1 TERM
    if scontrol requeue "$THIS_JOB"; then
        if [[ $state != RUNNING* ]]; then exit $EXIT_REQUEUE; fi # SLURM waits for its end
        exec sleep 120                                           # SLURM ends this script
    fi
    say "the job could not be requeued; submit it again: it goes on where it was"
    exit $EXIT_REQUEUE
}

# The end of a script of one command: requeue what was stopped by the job's time, else end as the command did.
end_or_requeue() {
    if was_stopped && ((child_status != 0)) && ((${SLURM_RESTART_COUNT:-0} < RESTARTS_ALLOWED)); then requeue; fi
    exit "$child_status"
}
