# A toolchain for 64-bit ARM on Debian: the cross compiler, and the packages of libraries unpacked in
# the folder AARCH64_ROOT. Programs run under qemu-user. tests/check_aarch64.sh uses it.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES AARCH64_ROOT)
set(aarch64_libraries ${AARCH64_ROOT}/usr/lib/aarch64-linux-gnu)
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${AARCH64_ROOT})
set(ENV{PKG_CONFIG_LIBDIR}
  ${aarch64_libraries}/pkgconfig:${aarch64_libraries}/openblas-pthread/pkgconfig)
set(CMAKE_FIND_ROOT_PATH ${AARCH64_ROOT} /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
# OpenBLAS brings libgfortran, which is found when programs run.
set(CMAKE_EXE_LINKER_FLAGS_INIT "-Wl,--unresolved-symbols=ignore-in-shared-libs")
set(CMAKE_SHARED_LINKER_FLAGS_INIT "-Wl,--unresolved-symbols=ignore-in-shared-libs")
set(CMAKE_CROSSCOMPILING_EMULATOR "qemu-aarch64;-L;/usr/aarch64-linux-gnu;-E;LD_LIBRARY_PATH=${aarch64_libraries}/openblas-pthread:${aarch64_libraries}:${AARCH64_ROOT}/lib/aarch64-linux-gnu")
