# Functions shared by the scripts in this folder. They source it first, before anything slow: a signal only sets a
# variable, and `wait_for_child` forwards it, so an early signal is not lost.
# shellcheck shell=bash

# A job ends with the exit status of its command. For training: 0 finished, 65 incomplete (languages are in quarantine:
# no requeue), 70 stalled, 75 could not be requeued; 2 is a user error, 1 a failure.
readonly EXIT_USER=2 EXIT_REQUEUE=75
if ((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] < 404)); then
    echo "slurm: found bash $BASH_VERSION, expected 4.4 or later on the machines of a job" >&2
    exit $EXIT_USER
fi
# Refer to an array task by its own ID: its job number may stand for the whole array.
if [[ -n ${SLURM_ARRAY_JOB_ID:-} ]]; then
    readonly THIS_JOB=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID
else
    readonly THIS_JOB=${SLURM_JOB_ID:-}
fi
readonly RESTARTS_ALLOWED=20 # for a job without a run directory that would show its progress

# Set by SIGUSR1 (the time limit is near, or a user asked the job to stop) to the second at which it came. The trap in
# the script's first lines may have set it already.
warned=${warned:-}
terminated="" # set by SIGTERM: SLURM is ending the job, or is about to
child=""      # the running step or command
child_status=0
trap 'warned=$SECONDS' USR1
trap 'terminated=yes' TERM

say() { echo "$(date +%FT%T) slurm: $*" >&2; }

# Change to the repository's folder, load this cluster's settings, and find Python.
enter_site() {
    cd "${MMS_DIST_HOME:-$SLURM_SUBMIT_DIR}" || exit $EXIT_USER
    source slurm/site.sh
    set +eu # the modules and environments that site_setup loads are not written for -eu
    site_setup
    set -eu
    local command=${IN_CONTAINER[0]:-python}
    if ! command -v "$command" >/dev/null; then
        say "found no $command on ${SLURMD_NODENAME:-this machine}: fix site_setup or IN_CONTAINER in slurm/site.sh"
        exit $EXIT_USER
    fi
}

# Exit with the usage in $2 if fewer than $1 arguments follow it.
need_arguments() {
    if (($# - 2 < $1)); then
        say "usage: $2"
        exit $EXIT_USER
    fi
}

python_here() { "${IN_CONTAINER[@]}" python "$@"; }

was_stopped() { [[ -n $warned$terminated ]]; }

# Run one task on each of the job's machines, with the whole machine. If one task fails, all end.
on_every_machine() {
    export MMS_DIST_TASKS_PER_NODE=${SLURM_NTASKS_PER_NODE:-1} # in the step SLURM's variable is 1
    export MMS_DIST_GPUS_ON_NODE=${SLURM_GPUS_ON_NODE:-}       # in the step it counts only requested GPUs
    # Limits per task would give the single task on each machine only a part of the machine.
    unset SLURM_GPUS_PER_TASK SLURM_NTASKS_PER_GPU SLURM_TRES_PER_TASK SLURM_CPUS_PER_TASK SRUN_CPUS_PER_TASK \
        SLURM_EXCLUSIVE SLURM_EXACT SLURM_GPU_BIND SLURM_TRES_BIND
    exec srun --export=ALL --nodes="$SLURM_JOB_NUM_NODES" --ntasks="$SLURM_JOB_NUM_NODES" --ntasks-per-node=1 \
        --cpu-bind=none --kill-on-bad-exit=1 "${IN_CONTAINER[@]}" "$@"
}

# Whether process $1 survives SIGUSR1 (signal 10) because it blocks or catches it. A process that still runs this script
# does not: it was forked a moment ago, with the script's own trap, which it is about to drop.
survives_usr1() {
    local name mask
    if [[ $(command_line "$1") == "$(command_line $$)" ]]; then return 1; fi
    while read -r name mask; do
        if [[ $name == SigBlk: || $name == SigCgt: ]] && ((16#$mask & 0x200)); then return 0; fi
    done 2>/dev/null <"/proc/$1/status"
    return 1
}

# Print the arguments of process $1 on one line; nothing once it has ended.
command_line() { tr '\0' ' ' 2>/dev/null <"/proc/$1/cmdline" || true; }

alive() { kill -0 "$child" 2>/dev/null; }

# Wait for $child to end, and store its exit status in $child_status. Once the job is warned, send the child signal $1
# (USR1 or TERM) every few seconds: it may not have started the processes that it forwards the signal to.
wait_for_child() {
    local nap
    while alive; do
        if [[ -n $warned ]] && { [[ $1 != USR1 ]] || survives_usr1 "$child"; }; then
            kill "-$1" "$child" 2>/dev/null || true
        fi
        # A signal ends the wait. If it came just before the wait, the nap ends it.
        sleep 5 &
        nap=$!
        wait -n "$child" "$nap" || true
        kill "$nap" 2>/dev/null || true
    done
    wait "$child" || child_status=$?
}

# Run an mms-dist command until it ends or the job is warned.
run_command() {
    "${IN_CONTAINER[@]}" python -m launcher "$@" &
    child=$!
    wait_for_child TERM
}

# Print this job's state: RUNNING, or COMPLETING and the reason once SLURM ends it.
job_state() {
    (
        unset "${!SQUEUE_@}" # the user's own filters and formats
        squeue --noheader --states=all --jobs="$THIS_JOB" --format="%T %r" 2>/dev/null
    ) || echo RUNNING
}

# Requeue the job; does not return. If SLURM is already ending the job, it was cancelled or SLURM requeues it itself, so
# do nothing. But requeue a job that reached its time limit before it had saved.
requeue() {
    local state
    state=$(job_state)
    if [[ $state != RUNNING* && $state != *TimeLimit* ]]; then
        say "SLURM is ending this job ($state): not requeued by this script"
        exit $EXIT_REQUEUE
    fi
    trap - USR1 TERM
    if scontrol requeue "$THIS_JOB"; then
        if [[ $state != RUNNING* ]]; then exit $EXIT_REQUEUE; fi # SLURM waits for the job to end
        exec sleep 120                                           # SLURM ends this script
    fi
    say "the job could not be requeued; submit it again to resume"
    exit $EXIT_REQUEUE
}

# End a script with a single command: requeue if the job was stopped, else exit with the command's status.
end_or_requeue() {
    if was_stopped && ((child_status != 0)) && ((${SLURM_RESTART_COUNT:-0} < RESTARTS_ALLOWED)); then requeue; fi
    exit "$child_status"
}
