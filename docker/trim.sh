#!/bin/sh
# Take out of the environment $1 what only developers of its packages use: tests, headers, stubs, symbols of debuggers.
set -eu
cd "$1"/lib/python3*/site-packages
find . -depth -type d \( -name tests -o -name test -o -name include \) ! -path './filterproxy/*' -exec rm -rf {} +
find . -type f \( -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' \) -delete
rm -rf sqlalchemy/testing
# What numpy loads only when it is asked for, and nothing here asks: lists need its arrays alone.
for part in f2py fft ma polynomial random testing; do rm -rf "numpy/$part"; done
# Not below *.libs: what was put there by patchelf does not survive strip.
find . -name '*.so' ! -path '*.libs/*' -exec strip --strip-debug {} +
# Rich colours nothing but Python, where it shows a failure.
find pygments/lexers -name '*.py' ! -name __init__.py ! -name _mapping.py ! -name python.py ! -name special.py -delete
find pygments/lexers/__pycache__ -type f -regextype posix-egrep \
  ! -regex '.*/(__init__|_mapping|python|special)\.cpython.*' -delete
# Modules that only numpy's own tests load, and dialects of databases that the store does not speak.
rm -f numpy/_core/_simd.*.so numpy/_core/_*_tests.*.so
for dialect in mssql mysql oracle; do rm -rf "sqlalchemy/dialects/$dialect"; done
