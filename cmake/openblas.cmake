# OpenBLAS: its header, and by which name the library loads it when a product first wants it. Sets
# OPENBLAS_NAME and PkgConfig::cotangent_openblas, with which only benchmarks link.

if(PkgConfig_FOUND)
  pkg_check_modules(cotangent_openblas QUIET IMPORTED_TARGET openblas)
endif()
find_library(OPENBLAS_LIBRARY openblas HINTS ${cotangent_openblas_LIBRARY_DIRS})
find_path(OPENBLAS_INCLUDE_DIR cblas.h
  HINTS ${cotangent_openblas_INCLUDE_DIRS} PATH_SUFFIXES openblas)
if(NOT TARGET PkgConfig::cotangent_openblas AND OPENBLAS_LIBRARY AND OPENBLAS_INCLUDE_DIR)
  add_library(PkgConfig::cotangent_openblas INTERFACE IMPORTED)
  target_link_libraries(PkgConfig::cotangent_openblas INTERFACE ${OPENBLAS_LIBRARY})
  target_include_directories(PkgConfig::cotangent_openblas INTERFACE ${OPENBLAS_INCLUDE_DIR})
endif()

# The name that a linker would record, so that the run-time search finds what linking would.
set(OPENBLAS_NAME ${OPENBLAS_LIBRARY})
if(CMAKE_OBJDUMP AND OPENBLAS_LIBRARY)
  execute_process(COMMAND ${CMAKE_OBJDUMP} -p ${OPENBLAS_LIBRARY}
    OUTPUT_VARIABLE headers ERROR_QUIET)
  if(headers MATCHES "SONAME +([^ \n]+)")
    set(OPENBLAS_NAME ${CMAKE_MATCH_1})
  endif()
endif()
