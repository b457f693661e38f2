#include "policy/rego/format/writer.h"

#include <algorithm>

namespace hexr::rego {

void LayoutWriter::StartLine() {
  inline_ = true;
  out_.append(level_, '\t');
}

void LayoutWriter::EndLine() {
  inline_ = false;
  if (line_end_ != nullptr && !delayed_) {
    Write(" " + CommentText(*line_end_));
    line_end_ = nullptr;
  }
  delayed_ = false;
  Write("\n");
}

void LayoutWriter::BlankLine() {
  if (inline_) EndLine();
  Write("\n");
}

void LayoutWriter::WriteLine(std::string_view text) {
  if (!inline_) StartLine();
  Write(text);
  EndLine();
}

void LayoutWriter::BeginMultiline() {
  delayed_ = true;
  EndLine();
  Up();
  StartLine();
}

bool IsMetadataHeader(const Comment& c) {
  const size_t first = c.text.find_first_not_of(" \t");
  return first != std::string::npos && c.text.substr(first) == "METADATA";
}

void LayoutWriter::WriteComments(const std::vector<const Comment*>& comments) {
  bool in_metadata = false;
  for (size_t i = 0; i < comments.size(); ++i) {
    if (i > 0) {
      const uint32_t gap = comments[i]->at.row - comments[i - 1]->at.row;
      if (gap > 1) {
        BlankLine();
        in_metadata = false;
      } else if (in_metadata && IsMetadataHeader(*comments[i])) {
        BlankLine();
      }
    }
    in_metadata = in_metadata || IsMetadataHeader(*comments[i]);
    WriteLine(CommentText(*comments[i]));
  }
}

bool LayoutWriter::Insert(uint32_t row) {
  std::vector<const Comment*> before, after;
  const Comment* at = nullptr;
  for (const Comment* c : comments_) {
    if (c->at.row < row)
      before.push_back(c);
    else if (c->at.row > row)
      after.push_back(c);
    else
      at = c;
  }
  if (after.size() == comments_.size()) return true;
  comments_ = std::move(after);
  WriteComments(before);
  if (!before.empty() && row - before.back()->at.row > 1) BlankLine();
  if (at == nullptr) return true;
  const bool free = line_end_ == nullptr;
  line_end_ = free ? at : nullptr;
  return free;
}

void LayoutWriter::WriteRest() {
  for (size_t i = 0; i < comments_.size(); ++i) {
    WriteLine(CommentText(*comments_[i]));
    if (i + 1 == comments_.size()) Write("\n");
  }
}

void LayoutWriter::WriteRaw(const Saved& saved, const Location& at, std::string_view text) {
  const auto last = at.row + static_cast<uint32_t>(std::count(text.begin(), text.end(), '\n'));
  // A comment within the text is written with it.
  if (line_end_ != nullptr && line_end_->at.row >= at.row && line_end_->at.row <= last) line_end_ = nullptr;
  out_.resize(saved.length);
  level_ = saved.level;
  Write(text);
  comments_.clear();
  for (const Comment* c : saved.comments) {
    if (comment_on_last_line_ && c->at.row == last) {
      Write(" " + CommentText(*c));
    } else if (c->at.row >= last) {
      comments_.push_back(c);
    }
  }
}

uint32_t ClosingRow(std::string_view text, uint32_t row, char open, char close, char skip_open, char skip_close) {
  size_t i = 0;
  uint32_t rows = 0;
  // From the first `from` to what closes it; false at the end of the text.
  auto pass = [&](char from, char to) {
    while (i < text.size() && text[i] != from) ++i;
    for (int depth = 1; depth > 0;) {
      if (++i >= text.size()) return false;
      if (text[i] == from)
        ++depth;
      else if (text[i] == to)
        --depth;
      else if (text[i] == '\n')
        ++rows;
    }
    return true;
  };
  if (skip_open != 0 && !pass(skip_open, skip_close)) return 0;
  // Line breaks before the first bracket are not counted, as OPA does not.
  return pass(open, close) ? row + rows : 0;
}

}  // namespace hexr::rego
