#!/bin/sh
# Cross-compiles the library for 64-bit ARM and runs a few tests under qemu-user. Skipped (77) where
# the cross compiler, qemu or the packages of the other architecture cannot be had:
#   dpkg --add-architecture arm64 && apt-get update
#   apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user
set -eu

source=$(cd "$(dirname "$0")/.." && pwd)
packages='libopenblas0-pthread libopenblas-pthread-dev libgfortran5 libgcc-s1 libcmocka0 libcmocka-dev
  libcjson1 libcjson-dev libdeflate0 libdeflate-dev libstb-dev'
# test_gemm limits the address space, which qemu needs for itself
tests='test_vmath test_matmul test_elementwise test_compile test_transforms test_taylor test_nn
  test_registry'

skip() {
  echo "skipped: $*"
  exit 77
}

command -v aarch64-linux-gnu-gcc >/dev/null || skip 'there is no aarch64-linux-gnu-gcc'
command -v qemu-aarch64 >/dev/null || skip 'there is no qemu-aarch64'
dpkg --print-foreign-architectures 2>/dev/null | grep -qx arm64 || skip 'arm64 packages are not known'

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
cd "$work"
for package in $packages; do
  apt-get download "$package:arm64" >>log 2>&1 || apt-get download "$package" >>log 2>&1 ||
    skip "$package cannot be downloaded"
done
for package in *.deb; do dpkg -x "$package" root; done

# -Wno-error: no warning of another compiler version fails this test
cmake -S "$source" -B build -G Ninja -D CMAKE_BUILD_TYPE=Release \
  -D CMAKE_TOOLCHAIN_FILE="$source/cmake/aarch64.cmake" -D AARCH64_ROOT="$work/root" >log 2>&1 ||
  { cat log; exit 1; }
# shellcheck disable=SC2086 # one word for each test
cmake --build build --target $tests >log 2>&1 || { tail -n 40 log; exit 1; }
libraries=$work/root/usr/lib/aarch64-linux-gnu
for test in $tests; do
  qemu-aarch64 -L /usr/aarch64-linux-gnu \
    -E LD_LIBRARY_PATH="$libraries/openblas-pthread:$libraries:$work/root/lib/aarch64-linux-gnu" \
    "build/tests/$test" >log 2>&1 || { tail -n 40 log; echo "$test failed on aarch64"; exit 1; }
  tail -n 1 log
done
