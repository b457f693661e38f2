// Journal files: as a file from anywhere, and as the inside of a frame that a taken-over writer has sealed.
#include <stdlib.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "ledger/journal_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using hexr::ledger::JournalReader;
  hexr::ledger::JournalFrame frame;
  (void)hexr::ledger::ParseFrame({data, size}, frame);
  (void)hexr::ledger::JournalHeader::Parse({data, size});

  static const std::string path = [] {
    std::string file = "/tmp/journal_fuzz_XXXXXX";
    HEXR_CHECK(::close(::mkstemp(file.data())) == 0);
    return file;
  }();
  FILE* out = ::fopen(path.c_str(), "wb");
  HEXR_CHECK(out != nullptr && ::fwrite(data, 1, size, out) == size && ::fclose(out) == 0);
  auto reader = JournalReader::Open(path, hexr::crypto::Secret::Copy(hexr::Bytes(32, 0x42)));
  if (!reader.ok()) return 0;
  for (;;) {
    const auto next = reader->Next();
    if (!next.ok() || *next == nullptr) break;
  }
  HEXR_CHECK(reader->position().offset <= size);
  return 0;
}
