# Tests, examples and benchmarks: every C file in tests/ (test_*.c), examples/ and bench/ is a
# program of its own. They see the private headers and link with the static library.

pkg_check_modules(cmocka REQUIRED IMPORTED_TARGET cmocka)

# Labels. unit: every test; asan: those that CI also runs under the sanitizers, which is all but the
# ones named here and the long ones; long: names ending in _long, the asan subset under valgrind and
# under tsan, some tests on an emulated ARM. `./run test` leaves the long ones out, `ctest --preset
# long` runs them.
set(tests_without_asan)
find_program(VALGRIND valgrind)

cmake_path(ABSOLUTE_PATH PROJECT_SOURCE_DIR NORMALIZE OUTPUT_VARIABLE mnist)
cmake_path(APPEND mnist ../shared/mnist)
cmake_path(NORMAL_PATH mnist)

function(add_program target source folder)
  cmake_path(GET source STEM name)
  add_executable(${target} ${source})
  target_link_libraries(${target} PRIVATE 
    cotangent_build cotangent::static ${cotangent_dependencies} ${ARGN})
  target_include_directories(${target} PRIVATE ${private_includes})
  target_include_directories(${target} SYSTEM PRIVATE ${STB_INCLUDE_DIR})
  target_compile_definitions(${target} PRIVATE _XOPEN_SOURCE=700)
  set_target_properties(${target} PROPERTIES
    C_EXTENSIONS OFF OUTPUT_NAME ${name} RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/${folder})
endfunction()

file(GLOB test_sources CONFIGURE_DEPENDS tests/test_*.c)
foreach(source IN LISTS test_sources)
  cmake_path(GET source STEM name)
  add_program(${name} ${source} tests PkgConfig::cmocka)
  add_test(NAME ${name} COMMAND ${name})
  set(labels unit)
  if(name MATCHES "_long$")
    list(APPEND labels long)
  elseif(NOT name IN_LIST tests_without_asan)
    list(APPEND labels asan)
    if(VALGRIND AND NOT COTANGENT_SANITIZE)
      add_test(NAME valgrind_${name} COMMAND ${VALGRIND} --quiet --error-exitcode=1
        --leak-check=full --errors-for-leak-kinds=definite,indirect $<TARGET_FILE:${name}>)
      set_tests_properties(valgrind_${name} PROPERTIES
        LABELS long ENVIRONMENT "CT_MNIST=${mnist}" TIMEOUT 3600)
    endif()
  endif()
  set_tests_properties(${name} PROPERTIES
    LABELS "${labels}" ENVIRONMENT "CT_MNIST=${mnist}" TIMEOUT 3600)
endforeach()

# Every primitive with the kernels of lower instruction sets too.
foreach(isa IN LISTS instruction_sets)
  add_test(NAME test_registry_${isa} COMMAND test_registry)
  set_tests_properties(test_registry_${isa} PROPERTIES LABELS unit ENVIRONMENT "CT_ISA=${isa}")
endforeach()

# Products where OpenBLAS is not to be had.
foreach(name test_gemm test_matmul test_compile)
  add_test(NAME ${name}_without_openblas COMMAND ${name})
  set_tests_properties(${name}_without_openblas PROPERTIES LABELS unit ENVIRONMENT CT_BLAS=none)
endforeach()

file(GLOB example_sources CONFIGURE_DEPENDS examples/*.c)
foreach(source IN LISTS example_sources)
  cmake_path(GET source STEM name)
  add_program(example_${name} ${source} examples)
  # an example of several files has the others in a folder of its name
  file(GLOB parts CONFIGURE_DEPENDS examples/${name}/*.c)
  target_sources(example_${name} PRIVATE ${parts})
  # each runs; what it prints is in tests/examples, where that is the same everywhere
  if(NOT name STREQUAL train)
    add_test(NAME example_${name} COMMAND ${PROJECT_SOURCE_DIR}/tests/check_example.sh
      $<TARGET_FILE:example_${name}> ${PROJECT_SOURCE_DIR}/tests/examples/${name}.txt)
    set_tests_properties(example_${name} PROPERTIES LABELS "unit;asan")
  endif()
endforeach()

# This test loads the shared library, and unloads it.
add_dependencies(test_pool cotangent)
target_compile_definitions(test_pool PRIVATE COTANGENT_LIBRARY="$<TARGET_FILE:cotangent>")

# This test runs the trainer.
add_dependencies(test_train example_train)
target_compile_definitions(test_train PRIVATE TRAIN_PROGRAM="$<TARGET_FILE:example_train>")

add_custom_target(bench)

# What they share; its kernels are compiled as those of the library.
file(GLOB bench_support CONFIGURE_DEPENDS bench/support/*.c)
file(GLOB bench_kernels CONFIGURE_DEPENDS bench/kernels/*.c)
add_library(bench_support STATIC EXCLUDE_FROM_ALL ${bench_support})
target_include_directories(bench_support PRIVATE ${private_includes})
target_compile_definitions(bench_support PRIVATE
  _XOPEN_SOURCE=700 BENCH_RESULTS="${PROJECT_SOURCE_DIR}/bench/results"
  BENCH_PEERS="${PROJECT_SOURCE_DIR}/bench/peers")
target_link_libraries(bench_support PUBLIC
  cotangent_build cotangent::static PkgConfig::cotangent_openblas ${cotangent_dependencies})
set_target_properties(bench_support PROPERTIES C_EXTENSIONS OFF)
foreach(isa IN LISTS instruction_sets)
  set(kernels cotangent_kernels_${isa})
  add_library(bench_kernels_${isa} OBJECT EXCLUDE_FROM_ALL ${bench_kernels})
  target_compile_definitions(bench_kernels_${isa} PRIVATE
    $<TARGET_PROPERTY:${kernels},COMPILE_DEFINITIONS>)
  target_compile_options(bench_kernels_${isa} PRIVATE $<TARGET_PROPERTY:${kernels},COMPILE_OPTIONS>)
  target_include_directories(bench_kernels_${isa} PRIVATE ${private_includes})
  target_link_libraries(bench_kernels_${isa} PRIVATE cotangent_build)
  set_target_properties(bench_kernels_${isa} PROPERTIES C_EXTENSIONS OFF)
  target_sources(bench_support PRIVATE $<TARGET_OBJECTS:bench_kernels_${isa}>)
endforeach()

file(GLOB bench_sources CONFIGURE_DEPENDS bench/*.c)
foreach(source IN LISTS bench_sources)
  cmake_path(GET source STEM name)
  add_program(bench_${name} ${source} bench bench_support)
  set_target_properties(bench_${name} PROPERTIES EXCLUDE_FROM_ALL ON)
  add_dependencies(bench bench_${name})
endforeach()

# bench/startup.c starts these; neither loads a library that it does not use.
foreach(side library floor)
  add_program(startup_${side} bench/startup/${side}.c bench/programs bench_support)
  target_link_options(startup_${side} PRIVATE -Wl,--as-needed)
  set_target_properties(startup_${side} PROPERTIES EXCLUDE_FROM_ALL ON)
  add_dependencies(bench_startup startup_${side})
  string(TOUPPER ${side} SIDE)
  target_compile_definitions(bench_startup PRIVATE
    STARTUP_${SIDE}="$<TARGET_FILE:startup_${side}>")
endforeach()

# The peer of bench/math.c, where the C library brings it.
find_library(MVEC_LIBRARY mvec)
if(MVEC_LIBRARY AND COTANGENT_X86_LEVELS)
  target_link_libraries(bench_math PRIVATE ${MVEC_LIBRARY})
  target_compile_definitions(bench_math PRIVATE BENCH_LIBMVEC)
endif()

# What users get is tested as it leaves the build, so not under a sanitizer.
if(NOT COTANGENT_SANITIZE)
  set(scripts ${PROJECT_SOURCE_DIR}/tests)
  add_test(NAME symbols COMMAND ${scripts}/check_symbols.sh
    $<TARGET_FILE:cotangent> $<TARGET_FILE:cotangent_static>)
  add_test(NAME headers COMMAND ${scripts}/check_headers.sh ${include_tree})
  add_test(NAME package COMMAND ${scripts}/check_package.sh ${CMAKE_COMMAND} ${PROJECT_BINARY_DIR})
  add_test(NAME abuse COMMAND ${scripts}/check_abuse.sh $<TARGET_FILE:cotangent>)
  add_test(NAME readme COMMAND ${scripts}/check_readme.sh)
  add_test(NAME docs COMMAND ${scripts}/check_docs.sh)
  add_test(NAME table COMMAND ${scripts}/check_table.sh $<TARGET_FILE:example_table>)
  set_tests_properties(symbols headers package abuse readme docs table PROPERTIES
    LABELS package)
  # the goal is 1 MB; other compilers and levels make other sizes
  if(CMAKE_BUILD_TYPE STREQUAL Release AND CMAKE_C_COMPILER_ID STREQUAL GNU AND COTANGENT_X86_LEVELS)
    add_test(NAME size COMMAND ${scripts}/check_size.sh 2000000 $<TARGET_FILE:cotangent>)
    set_tests_properties(size PROPERTIES LABELS package)
  endif()

  add_test(NAME tsan WORKING_DIRECTORY ${PROJECT_SOURCE_DIR} COMMAND
    sh -c "cmake --preset tsan && cmake --build --preset tsan && ctest --preset tsan")
  add_test(NAME aarch64 COMMAND ${scripts}/check_aarch64.sh)
  set_tests_properties(tsan aarch64 PROPERTIES LABELS long TIMEOUT 3600)
  set_tests_properties(aarch64 PROPERTIES SKIP_RETURN_CODE 77)
endif()
