# What the library links with. Read by the build and, installed, by the consumers of the static
# library, so that both find the same things: ${cotangent_dependencies}, and
# ${cotangent_missing}, the names of what was not found.

find_package(PkgConfig QUIET)
find_package(Threads QUIET)
if(PkgConfig_FOUND)
  pkg_check_modules(cotangent_deflate QUIET IMPORTED_TARGET libdeflate)
  pkg_check_modules(cotangent_cjson QUIET IMPORTED_TARGET libcjson)
endif()

set(cotangent_dependencies
  PkgConfig::cotangent_deflate PkgConfig::cotangent_cjson Threads::Threads m ${CMAKE_DL_LIBS})
set(cotangent_missing "")
foreach(target PkgConfig::cotangent_deflate PkgConfig::cotangent_cjson Threads::Threads)
  if(NOT TARGET ${target})
    list(APPEND cotangent_missing ${target})
  endif()
endforeach()
