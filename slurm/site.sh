# All settings of this cluster. The scripts in this folder read this file inside a job. `mms-dist submit` reads it
# before submitting, and leaves out options that do not suit the script (such as GPUs for building shards). sbatch itself does
# not read it: to use sbatch directly, run `source slurm/site.sh` first. For shards and eval, also run
# `unset $(compgen -v SBATCH_ | grep -E 'GPU|GRES')`.
# shellcheck shell=bash disable=SC1091,SC2034

# Where jobs run. sbatch reads these variables (see INPUT ENVIRONMENT VARIABLES in sbatch(1)), and they override the
# scripts' options. An empty variable means the site's default, except for flags: an empty SBATCH_NO_REQUEUE means
# --no-requeue.
# export SBATCH_PARTITION=gpu
# export SBATCH_ACCOUNT=speech
# export SBATCH_QOS=normal
# export SBATCH_GPUS_PER_NODE=8          # one training process per GPU; without GPUs, --ntasks-per-node
# Training takes whole machines. If machines are shared with other jobs, set the CPUs and memory per GPU. (This does not
# replace --mem=0 of train.sbatch if you use sbatch directly: pass --mem=SIZE to sbatch as well.)
# export SBATCH_EXCLUSIVE=oversubscribe SBATCH_CPUS_PER_GPU=8 SBATCH_MEM_PER_GPU=60G

# Set up the software on every machine of a job. Afterwards `python` must be able to import mms-dist.
site_setup() {
    # module purge; module load cuda/12.6
    # Activate this after loading modules, so that its python comes first on PATH.
    local venv=${VIRTUAL_ENV:-.venv}
    if [[ -f $venv/bin/activate ]]; then source "$venv/bin/activate"; fi
}

# If the software is in a container: the prefix of every command. Job control (srun, scontrol) stays outside.
# IN_CONTAINER=(apptainer exec --nv --bind /scratch mms-dist.sif)
IN_CONTAINER=()

# The network interface between machines, if the automatic choice is wrong.
# export NCCL_SOCKET_IFNAME=ib0 GLOO_SOCKET_IFNAME=ib0
