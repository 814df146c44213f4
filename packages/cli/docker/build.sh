#!/bin/sh
# Build the image that agents' containers are made from. The same as `magents image build`, with its options:
#
#   ./build.sh [--agents claude,codex] [--base IMAGE] [--tag TAG] [--ca-cert FILE] [--no-cache] [--help]
set -eu
here=$(CDPATH='' cd -P -- "$(dirname -- "$0")" && pwd -P)
exec "$here/../../../bin/magents" image build "$@"
