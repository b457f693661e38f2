// Signatures of instructions that try to take over a model, in twenty languages. They name ways of speaking, no test
// set's wording; each is also evidence for the injection model. Gaps allow punctuation, line ends and invisible
// leftovers.
#include <array>
#include <string>

#include "guard/patterns/rule.h"
#include "guard/views/decode.h"

namespace hexr::guard {
namespace {

// W: what may stand between two words; nothing at all when letters were spaced out and joined again.
constexpr const char* kW = R"([^a-z0-9]{0,6})";
constexpr const char* kDrop =
    "(?:ignor(?:e|ing)|disregard(?:ing)?|forget|overrid(?:e|ing)|overlook|neglect|discard|abandon|dismiss|bypass|"
    "(?:do|should)WnotW(?:follow|obey)|don.?tW(?:follow|obey)|stopW(?:following|obeying)|payWnoWattentionWto|"
    "(?:set|put|leave)Waside|cancel|nullify|supersedes?|erase|unlearn|replace)";
constexpr const char* kPrior =
    "(?:all|any|every|everything|each|previous(?:ly)?|prior|above|preceding|earlier|foregoing|past|former|existing|"
    "original|initial|"
    "system|developer|safety|your|other|old|before|current|given)";
constexpr const char* kFill =
    "(?:the|of|my|these|those|this|that|and|or|in|from|you|your|were|was|have|been|told|said|given|other)";
constexpr const char* kOrders =
    "(?:instructions?|prompts?|directions?|directives?|guidelines?|commands?|orders?|constraints?|programming|rules|"
    "polic(?:y|ies)|"
    "restrictions?|guardrails?|safeguards?|contexts?|training|messages?|conversations?)";

// Replaces the letters W, and {D} {P} {F} {O}, in a pattern.
std::string Expand(std::string_view pattern) {
  std::string out = "(?i)";
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == 'W') {
      out += kW;
    } else if (c == '{' && i + 2 < pattern.size() && pattern[i + 2] == '}' && pattern[i + 1] >= 'A') {
      const char* part = pattern[i + 1] == 'D'   ? kDrop
                         : pattern[i + 1] == 'P' ? kPrior
                         : pattern[i + 1] == 'F' ? kFill
                                                 : kOrders;
      out += Expand(part).substr(4);
      i += 2;
    } else {
      out.push_back(c);
    }
  }
  return out;
}

struct Signature {
  const char* type;
  float score;  // below 1 only; 0: evidence for the model, no finding of its own
  const char* pattern;
};

constexpr Signature kEnglish[] = {
    {"override", 0.9F, "{D}W(?:{F}W){0,3}{P}W(?:(?:{F}|{P})W){0,5}{O}"},
    {"override", 0.9F,
     "{D}W(?:{F}W){0,3}{O}W(?:{F}W){0,3}(?:above|before|earlier|previous|prior|so far|until now|up to now)"},
    {"override", 0.9F,
     "{D}W(?:all|everything|anything|whatever|what)W(?:{F}W){0,4}(?:told|said|above|before|instructed|learned|were "
     "given)"},
    {"override", 0.85F,
     "{P}W(?:{P}W){0,2}{O}W(?:are|is|have been|should be|must "
     "be)W(?:now|hereby|all)?W(?:void|invalid|null|cancel+ed|superseded|obsolete|revoked|outdated|"
     "ignored|disregarded|overridden|replaced|lifted|nolongerW)"},
    {"new-orders", 0,
     "(?:new|updated|real|actual|true|revised|correct|next|only|secret)W(?:system|primary|main)?W(?:instructions?|task|"
     "objective|directive|mission|goal|priority|prompt)W(?:is|are|:|from|follows?)"},
    {"persona", 0,
     "(?:you(?:W(?:are|willW(?:be|act)|mustWact|shouldWact|now)|.reW|.llW(?:be|act))|actW(?:as|like)|pretend|roleplay|"
     "simulate|"
     "behave|respond)[^.\n]{0,80}(?:unrestricted|unfiltered|uncensored|amoral|"
     "without(?:W(?:any|moral|ethical))*W(?:restrictions?|limits?|limitations?|filters?|rules|censorship|guidelines)|"
     "noW(?:"
     "restrictions|limits|limitations|filters|rules|ethics|morals|guidelines))"},
    {"persona", 0.8F,
     "(?:notWbound|freeW(?:of|from)|brokenWfree|noWlonger(?:Wbound)?|unbound)[^.\n]{0,40}(?:terms|confines|rules|"
     "restrictions|"
     "guidelines|limitations|policies|constraints|ethical|moral|safety)"},
    {"jailbreak", 0.85F,
     "(?:doWanythingWnow|\\bdanWmode|jailbr(?:eak|oken)W(?:mode|prompt|enabled|activated)|developerWmodeW(?:enabled|"
     "output|"
     "activated|on\\b)|(?:sudo|god|root|admin|debug|maintenance)WmodeW(?:enabled|activated|on\\b|engaged))"},
    {"prompt-leak", 0.85F,
     "(?:show|reveal|print|repeat|display|output|tell|give|share|write|expose|leak|send|recite|return|dump|disclose|"
     "summari[sz]"
     "e|translate|provide|list|copy)W(?:(?:me|us|out|all|exactly|verbatim|back|of|the|your|its|full|complete|entire|"
     "exact|"
     "whole|contents?|text)W){0,6}"
     "(?:system|initial|hidden|secret|developer|original|internal|confidential|startup|base|pre)W(?:prompts?|"
     "instructions?|"
     "messages?|rules|configuration|guidelines|directives?|context)"},
    {"prompt-leak", 0.8F,
     "what(?:.s|W(?:is|are|was|were|does|do))W(?:(?:the|your|in|say)W){0,3}(?:system|initial|hidden|secret|developer|"
     "original|"
     "internal)W(?:prompts?|instructions?|messages?|directives?)"},
    {"prompt-leak", 0.8F,
     "(?:repeat|print|output|copy|recite|write)W(?:{F}W|all|every(?:thing|Wword)?W|(?:exact|entire|full)W){0,4}(?:"
     "words?|text|"
     "content|lines?|everything|anything|instructions)W(?:{F}W){0,2}(?:above|before|preceding)"},
    {"chat-template", 0.85F,
     R"(<\|(?:im_start|im_end|system|user|assistant|endoftext|start_header_id|end_header_id|eot_id)\|>|\[/?INST\]|<</?SYS>>|<)"
     R"((?:start|end)_of_turn>)"},
    {"role-marker", 0.8F,
     R"((?:#{2,}|\*{2,}|={2,}|\[|<)[^a-z0-9\n]{0,4}(?:system|developer|admin(?:istrator)?|root)[ _-]?(?:message|prompt|instru)"
     R"(ctions?|note|override|notice|command|directive|alert)?[^a-z0-9\n]{0,3}(?:\]|\)|>|:|\*{2}|#{2}|={2}))"},
    {"role-marker", 0, R"((?:^|\n)[ \t]{0,8}(?:system|assistant|developer|human|user)[ \t]{0,2}:[ \t])"},
    {"address", 0.7F,
     "(?:note|message|instructions?|attention|important|warning|reminder|hint|hello|hi|hey|dear)W(?:to|for)?W(?:the|"
     "any|all|"
     "whatever)?W(?:ai|llms?|languageWmodels?|chatbots?|assistants?|botW|gpt|claude|gemini|copilot|agents?)W(?:reading|"
     "processing|assistants?|models?|agents?|systems?|:|,)"},
    {"address", 0, "(?:if|when|as)Wyou(?:.re|Ware)?W(?:an?|the)?W(?:ai|llm|languageWmodel|chatbot|assistant|agent)\\b"},
    {"precondition", 0,
     "before(?:Wyou)?W(?:(?:can|may|do|could)W)?(?:solv|complet|answer|continu|proceed|respond|finish|start|do|process|"
     "summar)["
     "^.\n]{0,80}(?:first|must|need|please|haveWto|following)"},
    {"secrecy", 0.8F,
     "(?:(?:do|must)Wnot|don.?t|never|without)W(?:tell(?:ing)?|inform(?:ing)?|mention(?:ing)?|reveal(?:ing)?|alert(?:"
     "ing)?|"
     "notify(?:ing)?|warn(?:ing)?|show(?:ing)?|disclos(?:e|ing))W(?:(?:this|it|anything|that|any|of|to|about)W){0,4}(?:"
     "the|"
     "your|any)W(?:user|human|owner|operator|customer)"},
    {"bypass", 0.8F,
     "(?:disabl|turnWoff|turnWyour|bypass|circumvent|deactivat|remov|evad|switchWoff|suspend)[a-z]{0,3}W(?:(?:all|any|"
     "the|your|"
     "its|of|every|current)W){0,3}(?:content|safety|security|ethic(?:al|s)|moderation|alignment|usage|built.in)W(?:(?:"
     "and|or|"
     "safety|content|moderation|policy)W){0,2}(?:filters?|filtering|guidelines?|protocols?|measures?|restrictions?|"
     "guardrails?|"
     "polic(?:y|ies)|checks?|controls?|limits?|features?|rules|mechanisms?)"},
    {"exfiltration", 0.8F,
     "(?:send|post|forward|upload|e?mail|exfiltrate|transmit|leak|copy|submit)W(?:(?:me|us|all|any|the|your|their|his|"
     "her|my|"
     "user.?s?|of|every|stored|saved)W){0,5}(?:apiWkeys?|passwords?|credentials?|accessWtokens?|secrets?|conversation(?"
     ":"
     "Whistory)?|chatWhistory|privateWkeys?|sshWkeys?|environmentWvariables|cookies|systemWprompt|creditWcard)[^.\n]{0,"
     "60}(?:"
     "to|at|via)W(?:https?|www|[a-z0-9._-]{1,40}@|this|the following|my|attacker)"},
    {"command", 0,
     "(?:importantW!{1,5}|urgentW!{0,5}:|importantWinstructions?|priorityWinstructions?|systemWoverride|adminWoverride|"
     "emergencyWoverride)"},
    {"impersonation", 0,
     "(?:i(?:.m|Wam)|thisWis|speaking(?:Was)?)W(?:(?:your|the|an?|actually)W){0,3}(?:developer|administrator|admin|"
     "creator|"
     "owner|programmer|openai|anthropic|engineer|supervisor)"},
};

// Do not follow what you were told, by language. UTF-8; gaps are bytes.
constexpr Signature kOthers[] = {
    {"override-es", 0.85F,
     R"((?i:ignora[rd]?|olv[ií]da(?:te)?|omite|descarta|desestima|haz caso omiso)[^.\n]{0,40}(?i:instru)"
     R"(cci|indicaci|[óo]rdenes|reglas|directrices|mensajes anteriores|todo lo anterior))"},
    {"override-fr", 0.85F,
     R"((?i:ignore[rz]?|oubli(?:e[rz]?|ez)|ne (?:tiens|tenez) pas compte|fais abstraction|n[ée]glige[rz)"
     R"(]?)[^.\n]{0,40}(?i:instructions?|consignes|directives|r[èe]gles|ordres|tout ce qui pr[ée]c[èe]de))"},
    {"override-de", 0.85F,
     R"((?i:ignorier(?:e|en|t)?|vergiss|vergessen|missachte|beachte)[^.\n]{0,40}(?i:anweisung|instrukti)"
     R"(on|vorgaben|befehl|regeln|alles (?:davor|bisherige|oben)))"},
    {"override-it", 0.85F,
     R"((?i:ignora(?:re|te)?|dimentica(?:re|te)?|trascura|non considerare)[^.\n]{0,40}(?i:istruzioni|in)"
     R"(dicazioni|direttive|ordini|regole|tutto (?:quanto|ci[òo]) ))"},
    {"override-pt", 0.85F,
     R"((?i:ignor(?:e|a|ar|em)|esque[çc]a|desconsider(?:e|ar)|desrespeite)[^.\n]{0,40}(?i:instru[çc]|or)"
     R"(ienta[çc]|ordens|regras|diretrizes|comandos))"},
    {"override-nl", 0.85F,
     R"((?i:negeer|vergeet|sla )[^.\n]{0,40}(?i:instructies|aanwijzingen|opdrachten|regels|richtlijnen))"},
    {"override-ru", 0.85F,
     R"((?:[Ии]гнорируй|[Зз]абудь|[Пп]роигнорируй|[Нн]е обращай внимания|[Оо]тбрось|[Нн]е следуй)[^.\n])"
     R"({0,100}(?:инструкци|указани|команд|правил|приказ|предыдущ))"},
    {"override-uk", 0.85F,
     R"((?:[Іі]гноруй|[Зз]абудь|[Нн]е зважай)[^.\n]{0,100}(?:інструкці|вказівк|команд|правил|попередн))"},
    {"override-pl", 0.85F,
     R"((?i:zignoruj|ignoruj|zapomnij|pomi[ńn]|zlekcewa)[^.\n]{0,60}(?i:instrukcj|polece|wytyczn|zasad|rozkaz))"},
    {"override-cs", 0.85F,
     R"((?i:ignoruj|zapome[nň]|p[řr]ehl[ée]dni)[^.\n]{0,60}(?i:pokyn|instrukc|p[řr][íi]kaz|pravidl))"},
    {"override-sv", 0.85F,
     R"((?i:ignorera|gl[öo]m|bortse fr[åa]n|strunta i)[^.\n]{0,40}(?i:instruktion|anvisning|regler|order))"},
    {"override-tr", 0.85F,
     R"((?i:talimat|komut|y[öo]nerge|kural)[^.\n]{0,60}(?i:g[öo]rmezden gel|yok say|unut|dikkate alma|g)"
     R"([öo]z ard))"},
    {"override-vi", 0.85F, R"((?:[Bb]ỏ qua|[Qq]uên|[Pp]hớt lờ)[^.\n]{0,60}(?:hướng dẫn|chỉ dẫn|lệnh|chỉ thị|quy tắc))"},
    {"override-id", 0.85F,
     R"((?i:abaikan|lupakan|hiraukan)[^.\n]{0,60}(?i:instruksi|perintah|arahan|petunjuk|aturan))"},
    {"override-ar", 0.85F,
     R"((?:تجاهل|انس|تجاوز|اهمل)[^.\n]{0,80}(?:التعليمات|الأوامر|الإرشادات|تعليمات|القواعد|التوجيهات))"},
    {"override-fa", 0.85F, R"((?:دستورالعمل|دستورات|دستور)[^.\n]{0,80}(?:نادیده|فراموش))"},
    {"override-he", 0.85F, R"((?:התעלם|שכח|תתעלם|התעלמי)[^.\n]{0,80}(?:הוראות|ההוראות|הנחיות|ההנחיות|פקודות))"},
    {"override-hi", 0.85F, R"((?:निर्देश|आदेश|नियम)[^.\n]{0,120}(?:अनदेखा|नज़रअंदाज़|नजरअंदाज|भूल|उपेक्षा))"},
    {"override-zh", 0.85F,
     R"((?:忽略|无视|忘记|忘掉|忽視|無視|不要理会|抛开)[^。\n]{0,60}(?:指令|指示|命令|提示|规则|說明|说明|设定|要求))"},
    {"override-ja", 0.85F, R"((?:指示|命令|ルール|プロンプト|説明)[^。\n]{0,60}(?:無視|忘れ|従わない|破棄))"},
    {"override-ko", 0.85F, R"((?:지시|명령|규칙|프롬프트|지침)[^.\n]{0,60}(?:무시|잊어|따르지))"},
    {"override-th", 0.85F, R"((?:เพิกเฉย|ละเว้น|ลืม|ไม่ต้องสนใจ)[^.\n]{0,120}(?:คำสั่ง|คำแนะนำ|กฎ))"},
    {"prompt-leak-zh", 0.85F,
     R"((?:显示|透露|告诉|输出|重复|打印|泄露)[^。\n]{0,45}(?:系统提示|系统指令|初始指令|隐藏指令|提示词))"},
    {"prompt-leak-es", 0.8F,
     R"((?i:muestra(?:me)?|revela(?:me)?|dime|repite|imprime)[^.\n]{0,30}(?i:prompt|instrucciones|men)"
     R"(saje) (?i:del? sistema|inicial|ocult))"},
    {"prompt-leak-de", 0.8F,
     R"((?i:zeige?|verrate?|nenne|wiederhole|gib)[^.\n]{0,30}(?i:system-?prompt|systemanweisung|urspr)"
     R"([üu]nglichen anweisung))"},
    {"prompt-leak-fr", 0.8F,
     R"((?i:montre|affiche|r[ée]v[èe]le|r[ée]p[èe]te|donne)[^.\n]{0,30}(?i:prompt|instructions|messag)"
     R"(e) (?i:syst[èe]me|du syst[èe]me|initial|cach[ée]))"},
    {"prompt-leak-ru", 0.8F,
     R"((?:[Пп]окажи|[Рр]аскрой|[Вв]ыведи|[Пп]овтори)[^.\n]{0,60}(?:системн[а-я]{1,20} (?:промпт|инст)"
     R"(рукци|сообщени)))"},
};

// Words that an override cannot do without; seen in disguise, the text around them is read again.
constexpr std::array<std::string_view, 10> kAnchors = {"ignore",        "disregard", "instructions", "previous",
                                                       "system prompt", "override",  "forget",       "password",
                                                       "unrestricted",  "reveal"};

}  // namespace

std::vector<Rule> SignatureRules() {
  std::vector<Rule> rules;
  const auto add = [&](const Signature& row, std::string pattern) {
    Rule r;
    r.scanner = Scanner::kInjection;
    r.kind = row.score > 0 ? RuleKind::kMatch : RuleKind::kFeature;
    r.type = row.type;
    r.trigger = std::move(pattern);
    r.confirm = r.kind == RuleKind::kMatch ? r.trigger : "";
    r.look_back = 384;
    r.score = row.score;
    rules.push_back(std::move(r));
  };
  for (const Signature& row : kEnglish) add(row, Expand(row.pattern));
  for (const Signature& row : kOthers) add(row, row.pattern);
  for (const std::string_view anchor : kAnchors) {
    for (const View view : {View::kRot13, View::kReversed}) {
      Rule r;
      r.scanner = Scanner::kInjection;
      r.kind = RuleKind::kTransform;
      r.view = view;
      r.type = "disguised";
      r.trigger = "(?i)" + (view == View::kRot13 ? Rot13(anchor) : ReverseText(anchor));
      rules.push_back(std::move(r));
    }
  }
  return rules;
}

}  // namespace hexr::guard
