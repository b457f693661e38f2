// Frames by hand, as a writer with the right key and wrong intentions makes them.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "crypto/aead_stream.h"
#include "ledger/big_endian.h"
#include "ledger/journal.h"
#include "ledger/record_scan.h"
#include "ledger/testing/events.h"

namespace hexr::ledger::testing {

class RawJournal {
 public:
  explicit RawJournal(NewJournal journal)
      : fd_(std::move(journal.fd)),
        writer_(std::move(journal.ticket.writer)),
        stream_(crypto::AeadStream::ForSealing(journal.ticket.key).value()),
        chain_(journal.ticket.chain) {}

  const std::string& writer() const { return writer_; }

  // A sealed frame around whatever `plaintext` is.
  void Write(ByteView plaintext) {
    Bytes frame(plaintext.size() + kFrameOverheadBytes);
    WriteBig(frame.data(), static_cast<uint32_t>(frame.size() - 4));
    WriteBig(frame.data() + 4, ++counter_);
    Bytes aad(chain_.begin(), chain_.end());
    aad.insert(aad.end(), frame.begin(), frame.begin() + kFramePrefixBytes);
    stream_.Seal(counter_, aad, plaintext, std::span(frame).subspan(kFramePrefixBytes));
    std::copy(frame.end() - kChainBytes, frame.end(), chain_.begin());
    ASSERT_EQ(::write(fd_.get(), frame.data(), frame.size()), static_cast<ssize_t>(frame.size()));
  }
  static Bytes RecordFrame(std::string_view json) {
    Bytes plaintext = {static_cast<uint8_t>(FrameType::kRecord)};
    AppendBig(plaintext, static_cast<uint32_t>(json.size()));
    plaintext.insert(plaintext.end(), json.begin(), json.end());
    return plaintext;
  }
  std::string Json(const Event& event, uint64_t instance_seq) const {
    std::string json;
    AppendUnsequenced(event, writer_, instance_seq, json);
    return json;
  }
  void Record(const Event& event, uint64_t instance_seq) { Write(RecordFrame(Json(event, instance_seq))); }

 private:
  runtime::UniqueFd fd_;
  std::string writer_;
  crypto::AeadStream stream_;
  Chain chain_;
  uint64_t counter_ = 0;
};

}  // namespace hexr::ledger::testing
