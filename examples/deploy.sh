#!/bin/sh
# deploy.sh RELEASE: nothing is deployed before somebody has touched a key.
#
# Policy says how strong the proof has to be, in a rule for "deploy:production"; this script may
# only be stricter. With `set -e` it ends here unless the answer is yes, with the status of
# `stepup`, which stepup(1) explains.
set -eu
release=${1:?usage: deploy.sh RELEASE}

stepup verify --action deploy:production --max-age 5m --reason "release $release"

echo "deploying $release"
