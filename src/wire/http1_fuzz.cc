// However a message is cut it is read the same, and what is written from it reads back as the same message.
#include <optional>

#include "base/check.h"
#include "wire/http1.h"

namespace {

using hexr::wire::Http1Event;

struct Seen {
  bool ok = true;
  bool ended = false;
  std::string body;
  size_t taken = 0;
};

Seen ReadAll(hexr::wire::Http1Reader& reader, hexr::ByteView bytes, size_t piece) {
  Seen seen;
  hexr::ByteView window;
  size_t at = 0;
  while (true) {
    const auto event = reader.Read(window);
    if (!event.ok()) {
      seen.ok = false;
      return seen;
    }
    if (*event == Http1Event::kData) seen.body.append(hexr::AsText(reader.data()));
    if (*event == Http1Event::kEnd) {
      seen.ended = true;
      seen.taken = at - window.size();
      return seen;
    }
    if (*event != Http1Event::kNeedMore) continue;
    HEXR_CHECK(window.empty());
    if (at == bytes.size()) return seen;
    const size_t n = std::min(piece, bytes.size() - at);
    window = bytes.subspan(at, n);
    at += n;
  }
}

template <class Reader>
void Check(hexr::ByteView bytes) {
  Reader whole;
  const Seen seen = ReadAll(whole, bytes, bytes.size() + 1);
  Reader cut;
  const Seen again = ReadAll(cut, bytes, 1);
  HEXR_CHECK(seen.ok == again.ok && seen.ended == again.ended && seen.taken == again.taken);
  HEXR_CHECK(!seen.ok || seen.body == again.body);
  if (!seen.ended) return;
  std::string text;
  HEXR_CHECK(AppendHttp1Head(whole.head(), whole.body(), text).ok());
  const bool chunked = whole.body().kind == hexr::wire::Http1Body::Kind::kChunked;
  if (chunked) {
    hexr::wire::AppendHttp1Chunk(hexr::AsBytes(seen.body), text);
    HEXR_CHECK(hexr::wire::AppendHttp1LastChunk(whole.trailers(), text).ok());
  } else {
    text += seen.body;
  }
  Reader back;
  const Seen read_back = ReadAll(back, hexr::AsBytes(text), 1000);
  HEXR_CHECK(read_back.ok && read_back.ended && read_back.body == seen.body && read_back.taken == text.size());
  HEXR_CHECK(back.trailers() == whole.trailers());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  if (data[0] == 'H')
    Check<hexr::wire::Http1ResponseReader>({data, size});
  else
    Check<hexr::wire::Http1RequestReader>({data, size});
  return 0;
}
