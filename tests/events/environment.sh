# Sourced after tools/env.sh: an environment with ansible-rulebook, Java, and Debian's Prometheus and Alertmanager.
# shellcheck shell=bash
here=$ROOT/tests/events

"$ROOT/tools/packages" openjdk-17-jre-headless
JAVA_HOME=/usr/lib/jvm/java-17-openjdk-$(dpkg --print-architecture)

# An environment that sees all of the project's.
rulebook=$CACHE/rulebook-$(cat "$ROOT/requirements.txt" "$here/requirements.txt" | digest)
(
  flock 9
  [ ! -e "$rulebook/.ready" ] || exit 0
  say "making the environment with ansible-rulebook (about 15 s)"
  rm -rf "$rulebook"
  python -m venv "$rulebook"
  purelib='import sysconfig; print(sysconfig.get_path("purelib"))'
  python -c "$purelib" >"$("$rulebook/bin/python" -c "$purelib")/project.pth"
  # pip knows what is there already, in the project's environment. uv does not.
  "$rulebook/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile --requirement "$here/requirements.txt"
  touch "$rulebook/.ready"
) 9>"$rulebook.lock"

EGRESS_PROMETHEUS=$("$ROOT/tools/unpack" prometheus)
EGRESS_ALERTMANAGER=$("$ROOT/tools/unpack" prometheus-alertmanager)
export EGRESS_PROMETHEUS EGRESS_ALERTMANAGER JAVA_HOME EGRESS_RULEBOOK=$rulebook/bin/ansible-rulebook
