// The reading end of a journal: follows a file that is still written to, from any position that it was left at.
// Belongs to one thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "crypto/aead_stream.h"
#include "ledger/journal.h"
#include "ledger/types.h"

namespace hexr::ledger {

// Between two frames.
struct JournalPosition {
  uint64_t offset = 0;   // 0: before the header
  uint64_t counter = 0;  // of the frame before
  Chain chain{};
  bool operator==(const JournalPosition&) const = default;
};

// One frame, opened. Views are valid until the next call.
struct JournalFrame {
  struct Text {
    ByteView salt;
    std::string_view text;
  };
  FrameType type = FrameType::kRecord;
  uint64_t counter = 0;
  std::string_view record;    // kRecord: canonical JSON without seq, not checked
  std::vector<Text> texts;    // kRecord
  std::string_view instance;  // kInstanceEnded
  uint64_t count = 0;         // kInstanceEnded
};

class JournalReader {
 public:
  // OUT_OF_RANGE, INVALID_ARGUMENT: the header is cut, or not one. NOT_FOUND: no such file.
  static Result<JournalReader> Open(const std::string& path, const crypto::Secret& master);
  // Continues where an earlier reader of the same file was. DATA_LOSS when the file is shorter than that.
  static Result<JournalReader> OpenAt(const std::string& path, const crypto::Secret& master, const JournalPosition& at);

  // The memory that a reader works in, lent for a while: without a loan it keeps a quarter of a megabyte of its own
  // from its first Next on.
  class Loan {
   public:
    Loan(JournalReader& reader, Bytes& buffer) : reader_(reader), buffer_(buffer) { Swap(); }
    // The frame that Next gave is gone.
    ~Loan();
    Loan(const Loan&) = delete;
    Loan& operator=(const Loan&) = delete;

   private:
    void Swap() {
      std::swap(reader_.buffer_, buffer_);
      reader_.begin_ = reader_.end_ = 0;  // whatever was read ahead is read again
    }
    JournalReader& reader_;
    Bytes& buffer_;
  };

  const JournalHeader& header() const { return header_; }
  const JournalPosition& position() const { return position_; }

  // The next whole frame; null when there is none yet (or ever: after kEnd). DATA_LOSS: the bytes that follow are not
  // the frame that belongs here. The position stays before them.
  Result<const JournalFrame*> Next();

  // True when no process holds the writing end. A last Next after this sees all there will ever be.
  bool WriterGone() const;
  // Bytes behind the position: of a frame that is being written or, once the writer is gone, that was never finished.
  Result<uint64_t> BytesBehind() const;

 private:
  JournalReader(runtime::UniqueFd fd, JournalHeader header, crypto::AeadStream stream);
  Status Fill();
  // The frame at the front of the buffer, opened into plaintext_. False: not all of it is there.
  Result<bool> OpenFront();

  runtime::UniqueFd fd_;
  JournalHeader header_;
  crypto::AeadStream stream_;
  JournalPosition position_;
  bool ended_ = false;
  Bytes buffer_;      // bytes of the file from position_.offset - consumed on
  size_t begin_ = 0;  // where the position is in the buffer
  size_t end_ = 0;    // how much of the buffer is filled
  Bytes plaintext_;
  JournalFrame frame_;
};

// The inside of a frame. INVALID_ARGUMENT when a writer with the right key wrote something that no writer writes.
Status ParseFrame(ByteView plaintext, JournalFrame& out);

}  // namespace hexr::ledger
