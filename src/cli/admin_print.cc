#include "cli/admin_print.h"

#include "cli/output.h"

namespace hexr::cli {
namespace {

// A list as "a, b": quotes and brackets are for programs.
std::string Cell(const wire::Json& object, const std::string& key) {
  const wire::JsonArray* items = object.FindArray(key);
  if (items == nullptr) return Text(object, key);
  std::string out;
  for (const wire::Json& i : *items) {
    out += (out.empty() ? "" : ", ") + (i.as_string() != nullptr ? *i.as_string() : wire::ToJson(i));
  }
  return out;
}

}  // namespace

int PrintObject(const Invocation& in, const Result<AdminReply>& reply) {
  if (!reply.ok()) return Fail(reply.error());
  if (in.output == Output::kJson || reply->json.as_object() == nullptr) {
    PrintJson(reply->json);
    return kYes;
  }
  std::vector<std::pair<std::string, std::string>> fields;
  for (const wire::JsonMember& m : *reply->json.as_object()) fields.emplace_back(m.key, Cell(reply->json, m.key));
  PrintFields(fields);
  return kYes;
}

int PrintList(const Invocation& in, const Result<AdminReply>& reply, const char* list,
              const std::vector<std::pair<std::string, std::string>>& columns) {
  if (!reply.ok()) return Fail(reply.error());
  if (in.output == Output::kJson) {
    PrintJson(reply->json);
    return kYes;
  }
  std::vector<std::string> header;
  header.reserve(columns.size());
  for (const auto& [title, key] : columns) header.push_back(title);
  std::vector<std::vector<std::string>> rows;
  if (const wire::JsonArray* items = reply->json.FindArray(list)) {
    for (const wire::Json& item : *items) {
      std::vector<std::string> row;
      row.reserve(columns.size());
      for (const auto& [title, key] : columns) row.push_back(Cell(item, key));
      rows.push_back(std::move(row));
    }
  }
  PrintTable(header, rows);
  return kYes;
}

int PrintDone(const Invocation& in, const Result<AdminReply>& reply, const std::string& sentence) {
  if (!reply.ok()) return Fail(reply.error());
  if (in.output == Output::kJson)
    PrintJson(reply->json);
  else
    PrintLine(sentence);
  return kYes;
}

}  // namespace hexr::cli
