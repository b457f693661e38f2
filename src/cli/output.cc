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

void PrintTable(const std::vector<std::string>& header, const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const std::string& h : header) widths.push_back(Width(h));
  for (const auto& row : rows) {
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
  for (const auto& row : rows) line(row, false);
}

void PrintFields(const std::vector<std::pair<std::string, std::string>>& fields) {
  size_t width = 0;
  for (const auto& [name, value] : fields) width = std::max(width, Width(name));
  for (const auto& [name, value] : fields)
    Put(Paint(Colour::kBold, name) + std::string(width - Width(name) + 2, ' ') + value + "\n");
}

void PrintJson(const wire::Json& value) { Put(wire::ToJson(value, wire::JsonStyle::kPretty) + "\n"); }
void PrintLine(std::string_view text) {
  Put(text);
  Put("\n");
}

void PrintError(std::string_view message) {
  std::fflush(stdout);
  std::fprintf(stderr, "hexr: %.*s\n", static_cast<int>(message.size()), message.data());
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
