// Ways out of a text: what a reader's client fetches or runs by itself when it renders the text.
#include "guard/patterns/rule.h"

namespace hexr::guard {
namespace {

struct UrlRow {
  const char* type;
  float score;
  const char* trigger;
  const char* confirm;
};

constexpr UrlRow kUrlRows[] = {
    // An image with data in its address leaves without a click.
    {"MARKDOWN_IMAGE_QUERY", 0.8F, R"(!\[[^\]\n]{0,100}\]\(\s{0,4}https?://[^)\s]{1,500}[?&=])",
     R"(!\[[^\]\n]{0,100}\]\(\s{0)"
     R"(,4}https?://[^)\s]{1,500}[?&=][^)\s]*)"},
    {"MARKDOWN_IMAGE_DATA_PATH", 0.6F, R"(!\[[^\]\n]{0,100}\]\(\s{0,4}https?://[^)\s]{1,200}/[\w+/=%-]{40})",
     R"(!\[[^\]\n]{0)"
     R"(,100}\]\(\s{0,4}https?://[^)\s]{1,200}/[\w+/=%-]{40,})"},
    {"HTML_IMAGE_QUERY", 0.8F,
     R"((?i)<(?:img|iframe|object|embed|video|audio|source|link|script|form)\b[^>]{0,200}(?:src|hre)"
     R"(f|data|action)\s{0,2}=\s{0,2}["']?(?:https?:)?//[^"'>\s]{1,500}[?&])",
     R"((?i)<(?:img|iframe|object|embed|video|audio|source|link|script|form)\b[^>]{0,200}(?:src|href|data|action)\s{0,2}=\s{0)"
     R"(,2}["']?(?:https?:)?//[^"'>\s]+)"},
    {"HTML_SCRIPT", 0.8F, R"((?i)<script[\s>]|\bon(?:error|load|click|mouseover|focus)\s{0,2}=\s{0,2}["'])",
     R"((?i)<script)"
     R"([\s>]|\bon(?:error|load|click|mouseover|focus)\s{0,2}=\s{0,2}["'])"},
    {"SCRIPT_URL", 0.8F, R"((?i)(?:javascript|vbscript)\s{0,2}:\s{0,2}[\w(])",
     R"((?i)(?:javascript|vbscript)\s{0,2}:\s{0,2})"
     R"([\w(][^\s"'<>]*)"},
    {"DATA_URL", 0.6F,
     R"((?i)data:(?:text/html|application/(?:x-)?javascript|image/svg\+xml|application/xhtml)[^,\s]{0,60})"
     R"(,)",
     R"((?i)data:(?:text/html|application/(?:x-)?javascript|image/svg\+xml|application/xhtml)[^,\s]{0,60},)"},
    {"URL_IP_ADDRESS", 0.45F, R"((?i)https?://(?:\d{1,3}\.){3}\d{1,3}(?:[:/?#]|\b))",
     R"((?i)https?://(?:\d{1,3}\.){3}\d{1,3})"
     R"((?::\d+)?[^\s"'<>)]*)"},
    {"URL_USERINFO_TRICK", 0.6F, R"((?i)https?://[a-z0-9.-]{1,60}\.[a-z]{2,10}@[a-z0-9])",
     R"((?i)https?://[a-z0-9.-]{1,60}\.)"
     R"([a-z]{2,10}@[a-z0-9][^\s"'<>)]*)"},
    {"URL_PUNYCODE", 0.45F, R"((?i)https?://[a-z0-9.-]{0,60}xn--[a-z0-9])",
     R"((?i)https?://[a-z0-9.-]{0,60}xn--[a-z0-9][^\s"'<>)]*)"},
    // A long label of base32 or hex before a domain carries data through the resolver.
    {"DNS_EXFILTRATION", 0.6F, R"((?i)\b[a-z2-7]{0,8}[a-z0-9]{40,63}\.[a-z0-9-]{1,63}\.[a-z]{2,10}\b)",
     R"((?i)\b[a-z0-9]{40,)"
     R"(63}(?:\.[a-z0-9-]{1,63})+\.[a-z]{2,10}\b)"},
};

}  // namespace

std::vector<Rule> UrlRules() {
  std::vector<Rule> rules;
  for (const UrlRow& row : kUrlRows) {
    Rule r;
    r.scanner = Scanner::kUrls;
    r.type = row.type;
    r.trigger = row.trigger;
    r.confirm = row.confirm;
    r.look_back = 640;
    r.score = row.score;
    rules.push_back(std::move(r));
  }
  return rules;
}

}  // namespace hexr::guard
