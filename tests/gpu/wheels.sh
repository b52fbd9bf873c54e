#!/bin/sh
# Fetch the wheels that a machine with PyTorch, transformers and accelerate, and without a network, lacks for mms-dist and
# this suite, and build DeepSpeed's (its source distribution builds without torch; its operators are compiled where they
# are first used, and ZeRO-3 of a frozen base uses none).
#
#     sh tests/gpu/wheels.sh [FOLDER] [PACKAGE ...]
#
# FOLDER (default: wheels) then holds wheels for Python 3.12 on x86-64 Linux (PYTHON_VERSION=3.11 for another), 11 MB.
# Further packages, such as pyarrow rich tensorboard, are fetched too: not every machine has them. There:
#
#     python3 -m pip install --no-index --no-deps --target /tmp/site FOLDER/*.whl && export PYTHONPATH=/tmp/site
set -eu
folder=${1:-wheels}
[ $# -eq 0 ] || shift
python_version=${PYTHON_VERSION:-3.12}
python=${PYTHON:-python3}

"$python" -m pip download --quiet --no-deps --only-binary=:all: --python-version "$python_version" --implementation cp \
    --platform manylinux_2_28_x86_64 --platform manylinux_2_27_x86_64 --platform manylinux_2_17_x86_64 \
    --platform manylinux2014_x86_64 --platform manylinux1_x86_64 --platform manylinux_2_12_x86_64 \
    --dest "$folder" \
    pydantic==2.14.4 pydantic-core==2.50.5 annotated-types==0.8.0 typing-inspection==0.4.5 typing-extensions==4.16.0 \
    soundfile==0.14.0 cffi==2.1.1 pycparser==3.12 soxr==1.1.0 \
    jiwer==4.0.0 rapidfuzz==3.14.6 click==8.5.1 num2words==0.5.14 \
    braceexpand==0.1.7 webdataset==1.0.2 \
    einops==0.8.2 hjson==3.1.0 msgpack==1.2.4 ninja==1.13.2 py-cpuinfo==9.0.0 \
    "$@"
"$python" -m pip wheel --quiet --no-deps --wheel-dir "$folder" deepspeed==0.19.8
