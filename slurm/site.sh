# All settings of this cluster. The scripts in this folder read this file inside a job. `mms-dist submit` reads it
# before submitting, and leaves out variables that do not suit the script (such as GPUs for building shards). sbatch
# itself does not read it: to use sbatch directly, run `source slurm/site.sh` first. For all but training, also run
# `unset $(compgen -v SBATCH_ | grep -E 'GPU|GRES|MEM_PER_NODE')`.
# shellcheck shell=bash disable=SC1091,SC2034

# Where jobs run. sbatch reads these variables (see INPUT ENVIRONMENT VARIABLES in sbatch(1)), and they override the
# scripts' options; options on the command line override them. Leave out what the site decides: sbatch does not take
# an empty variable for an unset one.
# export SBATCH_PARTITION=gpu
# export SBATCH_ACCOUNT=speech
# export SBATCH_QOS=normal
# export SBATCH_GPUS_PER_NODE=8          # one training process per GPU; without GPUs, --ntasks-per-node
# Training takes whole machines. If machines are shared with other jobs, set the CPUs per GPU and the memory that a job
# gets on each machine. (Not SBATCH_MEM_PER_GPU: sbatch ignores it, because train.sbatch has a line --mem.)
# export SBATCH_EXCLUSIVE=oversubscribe SBATCH_CPUS_PER_GPU=8 SBATCH_MEM_PER_NODE=480G

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
