// What people and programs read: aligned tables, JSON, errors with the next step.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "cli/command.h"
#include "wire/json.h"

namespace hexr::cli {

// A table on stdout. Colours only on a terminal and without NO_COLOR.
// The text with every control character but newline, tab and our own colours written as \xNN. What is shown may come
// from an agent (a file's name, an error that quotes one), and terminals obey what is in them. The printers below do
// it.
std::string Printable(std::string_view text);

void PrintTable(const std::vector<std::string>& header, const std::vector<std::vector<std::string>>& rows);
// "name  value" lines.
void PrintFields(const std::vector<std::pair<std::string, std::string>>& fields);
// The value, pretty, alone on stdout.
void PrintJson(const wire::Json& value);
void PrintLine(std::string_view text);

// "hexr: message" on stderr.
void PrintError(std::string_view message);
void PrintError(const Error& error);
// The exit code that belongs to an error: usage, refused, unreachable or our fault.
int ExitCodeOf(const Error& error);
// Both at once, for `return Fail(error);`.
int Fail(const Error& error);

enum class Colour { kNone, kGreen, kYellow, kRed, kBold };
std::string Paint(Colour colour, std::string_view text);

// Text of a member, "" where it is absent; numbers and booleans as they print.
std::string Text(const wire::Json& object, std::string_view key);

}  // namespace hexr::cli
