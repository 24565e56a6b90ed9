#!/bin/sh
# dbus-ask.sh ACTION [ADDRESS]: ask for a step-up over D-Bus with gdbus, or else with busctl.
#
# One call that returns with the verdict. It shows no prompt and answers no question, so it is for
# what a touch can prove; `stepup verify` does more. Exit status 0 means allowed, and nothing else.
set -eu
action=${1:?usage: dbus-ask.sh ACTION [ADDRESS]}
address=${2:-unix:path=/run/dbus/system_bus_socket}

if command -v gdbus >/dev/null; then
    answer=$(gdbus call --address "$address" --dest org.stepupd1 --object-path /org/stepupd1 \
        --method org.stepupd1.Manager.Check --timeout 120 "$action" '{}')
    case $answer in
    "('allow', "*) exit 0 ;;
    esac
else
    answer=$(busctl --address="$address" --timeout=120 call org.stepupd1 /org/stepupd1 \
        org.stepupd1.Manager Check 'sa{sv}' "$action" 0)
    case $answer in
    'sssa{sv} "allow" '*) exit 0 ;;
    esac
fi
echo "not allowed: $answer" >&2
exit 1
