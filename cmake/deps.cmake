# Every third-party library of the product. docs/dependencies.md says why each is here and who keeps it.
# Third-party headers are system headers: our warnings are for our own code.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(OpenSSL 3 REQUIRED)
find_package(Protobuf REQUIRED)
find_package(fmt REQUIRED)
find_package(GTest REQUIRED)
foreach(lib libnghttp2 sqlite3 libseccomp yaml-cpp re2 libhs tss2-esys tss2-mu tss2-tctildr)
  string(REGEX REPLACE "[^a-z0-9]" "_" _name ${lib})
  pkg_check_modules(${_name} REQUIRED IMPORTED_TARGET ${lib})
  add_library(dep::${_name} ALIAS PkgConfig::${_name})
endforeach()
find_package(spdlog REQUIRED)
# Boost.Asio and Beast are header-only; Debian installs them in the system include path.
