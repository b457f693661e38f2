# Debian 12 packages by purpose. Sourced by ./dev; docs/dependencies.md says why each library is here.
BUILD_PACKAGES=(
  g++ cmake ninja-build pkg-config ccache mold python3 protobuf-compiler
  libboost1.81-dev libprotobuf-dev libnghttp2-dev libssl-dev libsqlite3-dev libseccomp-dev
  libyaml-cpp-dev libre2-dev libfmt-dev libspdlog-dev libcli11-dev libgtest-dev libgmock-dev
  libbenchmark-dev zlib1g-dev libtss2-dev libgmp-dev libicu-dev
  libvectorscan-dev
)
TEST_PACKAGES=(python3-venv python3-pip curl openssl iproute2 libcap2-bin procps git swtpm zsh fish)
LINT_PACKAGES=(clang-14 clang-tidy-14 clang-format-14 shellcheck)
FUZZ_PACKAGES=(clang-14 libclang-rt-14-dev)
DEMO_PACKAGES=(python3 curl openssl)
PEER_PACKAGES=(nghttp2-client bubblewrap)
