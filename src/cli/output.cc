#include "cli/output.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace hexr::cli {
namespace {

bool Coloured() { return isatty(STDOUT_FILENO) != 0 && std::getenv("NO_COLOR") == nullptr; }

// Columns a terminal shows: escape sequences count nothing, a UTF-8 character one.
size_t Width(std::string_view s) {
  size_t n = 0;
  for (size_t i = 0; i < s.size(); ++i) {
    if (s[i] == '\033') {
      while (i < s.size() && s[i] != 'm') ++i;
    } else if ((static_cast<unsigned char>(s[i]) & 0xC0) != 0x80) {
      ++n;
    }
  }
  return n;
}

void Put(std::string_view s) { std::fwrite(s.data(), 1, s.size(), stdout); }

// The length of the colour that begins at `at`, as Paint makes it; 0 when there is none.
size_t ColourAt(std::string_view s, size_t at) {
  if (s.substr(at, 2) != "\033[") return 0;
  size_t end = at + 2;
  while (end < s.size() && s[end] >= '0' && s[end] <= '9') ++end;
  return end < s.size() && s[end] == 'm' && end - at <= 4 ? end + 1 - at : 0;
}

}  // namespace

std::string Paint(Colour colour, std::string_view text) {
  if (!Coloured()) return std::string(text);
  const char* code = "0";
  switch (colour) {
    case Colour::kNone: return std::string(text);
    case Colour::kGreen: code = "32"; break;
    case Colour::kYellow: code = "33"; break;
    case Colour::kRed: code = "31"; break;
    case Colour::kBold: code = "1"; break;
  }
  return "\033[" + std::string(code) + "m" + std::string(text) + "\033[0m";
}

std::string Printable(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    const auto next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0;
    const bool c1 = c == 0xC2 && next >= 0x80 && next < 0xA0;  // in UTF-8
    if (const size_t colour = ColourAt(text, i)) {
      out.append(text.substr(i, colour));
      i += colour - 1;
    } else if (c1 || (c < 0x20 && c != '\n' && c != '\t') || c == 0x7F) {
      char hex[8];
      std::snprintf(hex, sizeof hex, "\\x%02x", c1 ? next : c);
      out += hex;
      i += c1 ? 1 : 0;
    } else {
      out += text[i];
    }
  }
  return out;
}

void PrintTable(const std::vector<std::string>& header, const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  widths.reserve(header.size());
  for (const std::string& h : header) widths.push_back(Width(h));
  std::vector<std::vector<std::string>> shown;
  for (const auto& row : rows) {
    shown.emplace_back().reserve(row.size());
    for (const std::string& cell : row) shown.back().push_back(Printable(cell));
  }
  for (const auto& row : shown) {
    for (size_t i = 0; i < row.size() && i < widths.size(); ++i) widths[i] = std::max(widths[i], Width(row[i]));
  }
  const auto line = [&](const std::vector<std::string>& cells, bool bold) {
    for (size_t i = 0; i < cells.size(); ++i) {
      Put(bold ? Paint(Colour::kBold, cells[i]) : cells[i]);
      if (i + 1 < cells.size()) Put(std::string(widths[i] - Width(cells[i]) + 2, ' '));
    }
    Put("\n");
  };
  line(header, true);
  for (const auto& row : shown) line(row, false);
}

void PrintFields(const std::vector<std::pair<std::string, std::string>>& fields) {
  size_t width = 0;
  for (const auto& [name, value] : fields) width = std::max(width, Width(name));
  for (const auto& [name, value] : fields)
    Put(Paint(Colour::kBold, name) + std::string(width - Width(name) + 2, ' ') + Printable(value) + "\n");
}

void PrintJson(const wire::Json& value) { Put(wire::ToJson(value, wire::JsonStyle::kPretty) + "\n"); }
void PrintLine(std::string_view text) { Put(Printable(text) + "\n"); }

void PrintError(std::string_view message) {
  std::fflush(stdout);
  std::fprintf(stderr, "hexr: %s\n", Printable(message).c_str());
}
void PrintError(const Error& error) { PrintError(error.message()); }

int ExitCodeOf(const Error& error) {
  switch (error.code()) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kUnimplemented:
    case ErrorCode::kOutOfRange: return kUsage;
    case ErrorCode::kUnavailable:
    case ErrorCode::kDeadlineExceeded: return kUnreachable;
    case ErrorCode::kPermissionDenied:
    case ErrorCode::kNotFound:
    case ErrorCode::kAlreadyExists:
    case ErrorCode::kFailedPrecondition:
    case ErrorCode::kUnauthenticated:
    case ErrorCode::kResourceExhausted: return kNo;
    default: return kFault;
  }
}

int Fail(const Error& error) {
  PrintError(error);
  return ExitCodeOf(error);
}

std::string Text(const wire::Json& object, std::string_view key) {
  const wire::Json* v = object.Find(key);
  if (v == nullptr || v->is_null()) return "";
  if (const std::string* s = v->as_string()) return *s;
  return wire::ToJson(*v);
}

}  // namespace hexr::cli
