#include "store/machine_key.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/limits/storage.h"
#include "store/private_file.h"
#include "store/tpm.h"

extern char** environ;

namespace hexr::store {
namespace {

using crypto::AeadKey;
using crypto::RevealToken;
using crypto::Secret;
using Provider = MachineKeyProvider;

// A software TPM of the test's own, on loopback. Ready when Start returns: swtpm leaves for the background then.
class Swtpm {
 public:
  explicit Swtpm(std::string folder) : folder_(std::move(folder)) { std::filesystem::create_directory(folder_); }
  ~Swtpm() { Stop(); }

  bool Start() {
    for (int attempt = 0; attempt < 20 && pid_ == 0; ++attempt) {
      const int port = FreePort();
      const std::string state = "dir=" + folder_, pid_file = "file=" + folder_ + "/pid",
                        data = "type=tcp,bindaddr=127.0.0.1,port=" + std::to_string(port),
                        control = "type=tcp,bindaddr=127.0.0.1,port=" + std::to_string(port + 1);
      const char* argv[] = {"swtpm",
                            "socket",
                            "--tpm2",
                            "--tpmstate",
                            state.c_str(),
                            "--server",
                            data.c_str(),
                            "--ctrl",
                            control.c_str(),
                            "--flags",
                            "not-need-init,startup-clear",
                            "--daemon",
                            "--pid",
                            pid_file.c_str(),
                            nullptr};
      pid_t child = 0;
      if (posix_spawnp(&child, "swtpm", nullptr, nullptr, const_cast<char* const*>(argv), environ) != 0) return false;
      int status = 0;
      waitpid(child, &status, 0);
      if (status != 0) continue;  // somebody took one of the ports meanwhile
      std::ifstream(folder_ + "/pid") >> pid_;
      tcti_ = "swtpm:host=127.0.0.1,port=" + std::to_string(port);
    }
    return pid_ != 0;
  }
  void Stop() {
    if (pid_ == 0) return;
    // It is no child of ours, and removes its files while it ends: only its pidfd says when it has.
    const auto pidfd = static_cast<int>(syscall(SYS_pidfd_open, pid_, 0));
    kill(pid_, SIGTERM);
    if (pidfd >= 0) {
      pollfd p{pidfd, POLLIN, 0};
      (void)poll(&p, 1, 10'000);
      close(pidfd);
    }
    pid_ = 0;
  }
  const std::string& tcti() const { return tcti_; }

 private:
  // A port whose successor is free as well.
  static int FreePort() {
    for (;;) {
      const int a = socket(AF_INET, SOCK_STREAM, 0), b = socket(AF_INET, SOCK_STREAM, 0);
      sockaddr_in address{};
      address.sin_family = AF_INET;
      address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      socklen_t size = sizeof address;
      bool good = bind(a, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                  getsockname(a, reinterpret_cast<sockaddr*>(&address), &size) == 0;
      const int port = ntohs(address.sin_port);
      address.sin_port = htons(static_cast<uint16_t>(port + 1));
      good = good && port < 65535 && bind(b, reinterpret_cast<sockaddr*>(&address), size) == 0;
      close(a);
      close(b);
      if (good) return port;
    }
  }

  std::string folder_, tcti_;
  pid_t pid_ = 0;
};

class MachineKeyTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "/hexr-mk-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    options_.state_folder = folder_ + "/state";
    options_.scrypt_cost = {1024, 8, 1};
    options_.tpm = "device:" + folder_ + "/no-tpm";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void Write(const std::string& path, std::string_view content, mode_t mode = 0600) {
    std::ofstream(path) << content;
    chmod(path.c_str(), mode);
  }
  void UsePassphrase(std::string_view passphrase) {
    Write(folder_ + "/passphrase", passphrase);
    options_.passphrase_file = folder_ + "/passphrase";
    options_.provider = Provider::kPassphrase;
  }
  Result<MachineKey> Open() { return MachineKey::Open(options_, random_); }
  static bool Same(const MachineKey& a, const MachineKey& b) { return a.key().key() == b.key().key(); }

  SystemRandom random_;
  std::string folder_;
  MachineKeyOptions options_;
};

TEST_F(MachineKeyTest, PlainFileIsTheLastResortAndSaysSo) {
  const MachineKey first = Open().value();
  EXPECT_EQ(first.provider(), Provider::kFile);
  EXPECT_NE(first.description().find("plain file"), std::string::npos);
  EXPECT_TRUE(Same(first, Open().value()));
  EXPECT_TRUE(CheckPrivateFile(options_.state_folder + "/machine-key").ok());
}

TEST_F(MachineKeyTest, FileOpenToOthersIsRefused) {
  ASSERT_TRUE(Open().ok());
  chmod((options_.state_folder + "/machine-key").c_str(), 0644);
  EXPECT_EQ(Open().error().code(), ErrorCode::kFailedPrecondition);
}

TEST_F(MachineKeyTest, DamagedFileNeverMakesANewKey) {
  ASSERT_TRUE(Open().ok());
  const std::string path = options_.state_folder + "/machine-key";
  std::ifstream in(path);
  const std::string good{std::istreambuf_iterator<char>(in), {}};
  for (const std::string& bad :
       {std::string(), std::string("other v1\n"), good.substr(0, good.size() / 2), good + "key x\n",
        std::string("hexr-machine-key v1\nprovider moon\n"), std::string("hexr-machine-key v1\nnonsense\n")}) {
    Write(path, bad);
    const auto r = Open();
    ASSERT_FALSE(r.ok()) << bad;
    EXPECT_TRUE(r.error().code() == ErrorCode::kDataLoss || r.error().code() == ErrorCode::kInvalidArgument)
        << r.error().ToString();
  }
  Write(path, good);
  EXPECT_TRUE(Open().ok());
}

TEST_F(MachineKeyTest, SystemdCredential) {
  const std::string credentials = folder_ + "/credentials";
  std::filesystem::create_directory(credentials);
  options_.credentials_folder = credentials;
  Write(credentials + "/hexr-machine-key", std::string(32, 'k'), 0440);
  const MachineKey first = Open().value();
  EXPECT_EQ(first.provider(), Provider::kSystemdCredential) << "auto takes it before a file";
  EXPECT_TRUE(Same(first, Open().value()));
  Write(credentials + "/hexr-machine-key", std::string(32, 'x'));
  EXPECT_EQ(Open().error().code(), ErrorCode::kFailedPrecondition) << "another credential";
  options_.credentials_folder = "";
  EXPECT_EQ(Open().error().code(), ErrorCode::kUnavailable) << "gone: an error, never a new key";
}

TEST_F(MachineKeyTest, CredentialThatIsTooShortOrTooLongIsRefused) {
  options_.credentials_folder = folder_;
  Write(folder_ + "/hexr-machine-key", std::string(limits::kMaxKeyFileBytes + 1, 'k'));
  EXPECT_EQ(Open().error().code(), ErrorCode::kFailedPrecondition);
  Write(folder_ + "/hexr-machine-key", std::string(31, 'k'));
  EXPECT_EQ(Open().error().code(), ErrorCode::kFailedPrecondition);
}

TEST_F(MachineKeyTest, Passphrase) {
  UsePassphrase("correct horse battery\n");
  const MachineKey first = Open().value();
  UsePassphrase("correct horse battery");
  EXPECT_TRUE(Same(first, Open().value())) << "a line end does not count";
  UsePassphrase("correct horse batterx");
  EXPECT_EQ(Open().error().message(), "machine key: wrong passphrase");
  for (const std::string& bad : {std::string(limits::kMinPassphraseBytes - 1, 'p'),
                                 std::string(limits::kMaxPassphraseBytes + 1, 'p'), std::string()}) {
    UsePassphrase(bad);
    EXPECT_EQ(Open().error().code(), ErrorCode::kInvalidArgument);
  }
  chmod(options_.passphrase_file.c_str(), 0644);
  EXPECT_EQ(Open().error().code(), ErrorCode::kFailedPrecondition);
  options_.passphrase_file.clear();
  EXPECT_EQ(Open().error().code(), ErrorCode::kFailedPrecondition);
  // From a descriptor, as `hexr up` hands it down.
  int fds[2];
  ASSERT_EQ(pipe(fds), 0);
  ASSERT_EQ(write(fds[1], "correct horse battery\n", 22), 22);
  close(fds[1]);
  options_.passphrase_fd = fds[0];
  EXPECT_TRUE(Same(first, Open().value()));
  close(fds[0]);
}

TEST_F(MachineKeyTest, PassphraseFileHoldsNoKey) {
  UsePassphrase("correct horse battery");
  const MachineKey key = Open().value();
  std::ifstream in(options_.state_folder + "/machine-key");
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  EXPECT_EQ(text.find(Base64Encode(key.key().key().Reveal(RevealToken::For("test")))), std::string::npos);
  EXPECT_EQ(text.find("horse"), std::string::npos);
}

TEST_F(MachineKeyTest, AnotherProviderThanBeforeIsRefused) {
  ASSERT_TRUE(Open().ok());
  UsePassphrase("correct horse battery");
  EXPECT_EQ(Open().error().code(), ErrorCode::kFailedPrecondition);
}

TEST_F(MachineKeyTest, TpmSealsAndOnlyThatTpmUnseals) {
  Swtpm tpm(folder_ + "/tpm");
  ASSERT_TRUE(tpm.Start()) << "swtpm (a package of the tests) is missing";
  options_.tpm = tpm.tcti();
  const MachineKey first = Open().value();
  EXPECT_EQ(first.provider(), Provider::kTpm) << "auto takes it first";
  // Many times: sessions and objects are given back, or a TPM with room for three would refuse.
  for (int i = 0; i < 8; ++i) EXPECT_TRUE(Same(first, Open().value()));
  std::ifstream in(options_.state_folder + "/machine-key");
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  EXPECT_EQ(text.find(Base64Encode(first.key().key().Reveal(RevealToken::For("test")))), std::string::npos);

  // A restart of the machine: the same seed, so the same primary key.
  tpm.Stop();
  Swtpm again(folder_ + "/tpm");
  ASSERT_TRUE(again.Start());
  options_.tpm = again.tcti();
  EXPECT_TRUE(Same(first, Open().value()));

  // The stolen disk: the same file in front of another TPM.
  Swtpm other(folder_ + "/other-tpm");
  ASSERT_TRUE(other.Start());
  options_.tpm = other.tcti();
  EXPECT_EQ(Open().error().code(), ErrorCode::kFailedPrecondition);
  options_.tpm = "device:" + folder_ + "/no-tpm";
  EXPECT_EQ(Open().error().code(), ErrorCode::kUnavailable) << "gone: an error, never a new key";
}

TEST_F(MachineKeyTest, TpmRefusesChangedBlobs) {
  Swtpm tpm(folder_ + "/tpm");
  ASSERT_TRUE(tpm.Start());
  const Secret secret = Secret::Random(32, random_);
  const TpmBlob good = TpmSeal(tpm.tcti(), secret).value();
  EXPECT_TRUE(*TpmUnseal(tpm.tcti(), good) == secret);
  for (size_t i = 0; i < good.private_part.size(); i += 29) {
    TpmBlob bad = good;
    bad.private_part[i] ^= 1;
    EXPECT_FALSE(TpmUnseal(tpm.tcti(), bad).ok()) << i;
  }
  TpmBlob cut = good;
  cut.public_part.pop_back();
  EXPECT_EQ(TpmUnseal(tpm.tcti(), cut).error().code(), ErrorCode::kDataLoss);
  // A device in between that offers a primary key of its own.
  TpmBlob renamed = good;
  renamed.primary_name.back() ^= 1;
  EXPECT_EQ(TpmUnseal(tpm.tcti(), renamed).error().code(), ErrorCode::kFailedPrecondition);
}

}  // namespace
}  // namespace hexr::store
