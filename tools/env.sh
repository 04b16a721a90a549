# Sourced by every script of tools/: where things are. Nothing is created here.
# shellcheck shell=bash
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
CACHE=${EGRESS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/egress.router}
digest() { sha256sum | cut -c1-12; }

# One virtual environment for each content of requirements.txt, shared by all checkouts of the machine.
VENV=$CACHE/venv-$(digest <"$ROOT/requirements.txt")
# Ansible imports a collection only from .../ansible_collections/NAMESPACE/NAME, whatever the checkout is called.
TREE=$CACHE/tree-$(printf %s "$ROOT" | digest)
COLLECTION=$TREE/ansible_collections/egress/router

export EGRESS_CACHE=$CACHE COLLECTION
# molecule and ansible-lint call ansible-config and others by name.
# EGRESS_CORE: another ansible-core, laid over the environment by tools/oldest.
export PATH=${EGRESS_CORE:+$EGRESS_CORE/bin:}$VENV/bin:$PATH
# kubernetes.core comes with the "ansible" package of the environment; nothing of the user's own may leak in.
export ANSIBLE_COLLECTIONS_PATH=$TREE
# For plain Python: pytest and mypy import the collection by its full name.
export PYTHONPATH=${EGRESS_CORE:+$EGRESS_CORE:}$TREE
# Caches of the tools stay out of the checkout.
export RUFF_CACHE_DIR=$CACHE/ruff MYPY_CACHE_DIR=$CACHE/mypy
# Bytecode is kept, beside the checkout. Each module of a playbook is a Python of its own, and where a machine wants no bytecode
# written, each would compile all that it imports.
unset PYTHONDONTWRITEBYTECODE
export PYTHONPYCACHEPREFIX=$CACHE/bytecode
# Coloured or interactive output helps nobody in a log.
export ANSIBLE_NOCOLOR=1 PY_COLORS=0

say() { printf '== %s\n' "$*" >&2; }
die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}
