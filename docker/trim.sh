#!/bin/sh
# Take out of the environment $1 what only developers of its packages use: tests, headers, stubs, symbols of debuggers.
set -eu
cd "$1"/lib/python3*/site-packages
find . -depth -type d \( -name tests -o -name test -o -name include \) ! -path './filterproxy/*' -exec rm -rf {} +
find . -type f \( -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' \) -delete
rm -rf sqlalchemy/testing numpy/f2py
# Not below *.libs: what was put there by patchelf does not survive strip.
find . -name '*.so' ! -path '*.libs/*' -exec strip --strip-debug {} +
# Rich colours nothing but Python, where it shows a failure.
find pygments/lexers -name '*.py' ! -name __init__.py ! -name _mapping.py ! -name python.py ! -name special.py -delete
find pygments/lexers/__pycache__ -type f -regextype posix-egrep \
  ! -regex '.*/(__init__|_mapping|python|special)\.cpython.*' -delete
