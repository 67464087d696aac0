# shellcheck shell=bash
# Sourced: puts the tools that setup unpacked first on PATH.
PIPELINE_TOOLS=${PIPELINE_TOOLS:-/opt/pipeline-tools}
plugins=libexec/docker/cli-plugins
PATH=$PIPELINE_TOOLS/venv/bin:$PIPELINE_TOOLS/usr/sbin:$PIPELINE_TOOLS/usr/bin:$PIPELINE_TOOLS/usr/$plugins:$PATH:/usr/sbin:/usr/$plugins
export PIPELINE_TOOLS PATH
