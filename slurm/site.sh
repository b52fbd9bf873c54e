# What is particular to this cluster, in one place. The scripts in this folder read it inside a job; `mms-dist submit`
# reads it before it submits, and leaves out what does not suit the script (GPUs where shards are built). sbatch itself
# reads nothing of it: to use sbatch directly, `source slurm/site.sh` first; before shards and eval then
# `unset $(compgen -v SBATCH_ | grep -E 'GPU|GRES')`.
# shellcheck shell=bash disable=SC1091,SC2034

# Where jobs go. sbatch takes these from the environment (see there, INPUT ENVIRONMENT VARIABLES), over what the scripts
# say. An empty one is the site's default, but for what has no value: an empty SBATCH_NO_REQUEUE is --no-requeue.
# export SBATCH_PARTITION=gpu
# export SBATCH_ACCOUNT=speech
# export SBATCH_QOS=normal
# export SBATCH_GPUS_PER_NODE=8          # one training process for each; none: --ntasks-per-node says how many
# Training takes whole machines. Where they are shared with other jobs, say what comes with a GPU. (sbatch itself does not
# let go of --mem=0 in train.sbatch for that: it needs --mem=SIZE on its command line as well.)
# export SBATCH_EXCLUSIVE=oversubscribe SBATCH_CPUS_PER_GPU=8 SBATCH_MEM_PER_GPU=60G

# Software, on every machine of a job. The command `python` must then be one that has mms-dist.
site_setup() {
    # module purge; module load cuda/12.6
    # After the modules, whose python would else come first.
    local venv=${VIRTUAL_ENV:-.venv}
    if [[ -f $venv/bin/activate ]]; then source "$venv/bin/activate"; fi
}

# A container, if the software is in one: what stands before every command. Job control (srun, scontrol) stays outside.
# IN_CONTAINER=(apptainer exec --nv --bind /scratch mms-dist.sif)
IN_CONTAINER=()

# The network interface between machines, where the first one that is found is the wrong one.
# export NCCL_SOCKET_IFNAME=ib0 GLOO_SOCKET_IFNAME=ib0
