# What the library links with. Read by the build and, installed, by the consumers of the static
# library, so that both find the same things: ${cotangent_dependencies}, and
# ${cotangent_missing}, the names of what was not found.

find_package(PkgConfig QUIET)
find_package(Threads QUIET)
if(PkgConfig_FOUND)
  pkg_check_modules(cotangent_openblas QUIET IMPORTED_TARGET openblas)
  pkg_check_modules(cotangent_deflate QUIET IMPORTED_TARGET libdeflate)
  pkg_check_modules(cotangent_cjson QUIET IMPORTED_TARGET libcjson)
endif()

if(NOT TARGET PkgConfig::cotangent_openblas)
  find_library(OPENBLAS_LIBRARY openblas)
  find_path(OPENBLAS_INCLUDE_DIR cblas.h PATH_SUFFIXES openblas)
  if(OPENBLAS_LIBRARY AND OPENBLAS_INCLUDE_DIR)
    add_library(PkgConfig::cotangent_openblas INTERFACE IMPORTED)
    target_link_libraries(PkgConfig::cotangent_openblas INTERFACE ${OPENBLAS_LIBRARY})
    target_include_directories(PkgConfig::cotangent_openblas INTERFACE ${OPENBLAS_INCLUDE_DIR})
    set(cotangent_openblas_LDFLAGS ${OPENBLAS_LIBRARY})
  endif()
endif()

set(cotangent_dependencies
  PkgConfig::cotangent_openblas PkgConfig::cotangent_deflate PkgConfig::cotangent_cjson
  Threads::Threads m)
set(cotangent_missing "")
foreach(target PkgConfig::cotangent_openblas PkgConfig::cotangent_deflate
        PkgConfig::cotangent_cjson Threads::Threads)
  if(NOT TARGET ${target})
    list(APPEND cotangent_missing ${target})
  endif()
endforeach()
