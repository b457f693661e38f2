// Text under construction: indentation, and comments that wait for their line. One thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "policy/rego/syntax/ast.h"

namespace hexr::rego {

class LayoutWriter {
 public:
  explicit LayoutWriter(std::vector<const Comment*> comments) : comments_(std::move(comments)) {}

  void Write(std::string_view text) { out_ += text; }
  void StartLine();
  void EndLine();
  void BlankLine();
  void WriteLine(std::string_view text);
  void Up() { ++level_; }
  void Down() { --level_; }
  void BeginMultiline();

  // Writes the comments above `row`, and keeps one of that row for the end of the line. False when the line has a
  // comment already: the text there cannot be laid out anew.
  [[nodiscard]] bool Insert(uint32_t row);
  void WriteComments(const std::vector<const Comment*>& comments);
  void WriteRest();

  struct Saved {
    size_t length;
    size_t level;
    std::vector<const Comment*> comments;
  };
  Saved Save() const { return {out_.size(), level_, comments_}; }
  // Back to `saved`, with `text` of the source (rows `at.row` onwards) as it stands there.
  void WriteRaw(const Saved& saved, const Location& at, std::string_view text);

  std::string out_;
  std::vector<const Comment*> comments_;  // not yet written, in order
  const Comment* line_end_ = nullptr;     // for the end of this line
  bool delayed_ = false;                  // …not this one, the next
  bool inline_ = false;                   // a line has begun
  bool comment_on_last_line_ = false;
  size_t level_ = 0;
};

bool IsMetadataHeader(const Comment& c);
inline std::string CommentText(const Comment& c) { return "#" + c.text; }
// Row of the bracket that closes the first `open` of `text`, whose first row is `row`; 0 when none does. Brackets in
// strings count, as they do for OPA. `skip_open`: what stands in these brackets is passed over first.
uint32_t ClosingRow(std::string_view text, uint32_t row, char open, char close, char skip_open = 0,
                    char skip_close = 0);

}  // namespace hexr::rego
