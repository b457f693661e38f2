#include "guard/patterns/names.h"

#include <gtest/gtest.h>

#include "base/limits/guard.h"
#include "guard/guard.h"
#include "guard/testing/fixture.h"

namespace hexr::guard {
namespace {

// "PERSON Clara Hoffmann 0.45", as found in the middle of a stream.
std::vector<std::string> NamesIn(std::string_view text) {
  const ManualClock clock{WallTime{}};
  const auto v = Scan(SharedWorker(), clock, text, Channel::kTool);
  EXPECT_TRUE(v.ok());
  std::vector<std::string> out;
  for (const Finding& f : v->findings) {
    if (f.type == "PERSON" || f.type == "STREET_ADDRESS")
      out.push_back(f.type + " " + std::string(text.substr(f.start, f.end - f.start)) +
                    (f.score >= kSureScore ? "" : "?"));
  }
  return out;
}

using Names = std::vector<std::string>;

TEST(Names, AreSureWhereTheWordsAroundThemSaySo) {
  EXPECT_EQ(NamesIn("Hello, my name is Patricia Jones and I live here"), Names{"PERSON Patricia Jones"});
  EXPECT_EQ(NamesIn("ask Mrs. Okonkwo about it"), Names{"PERSON Okonkwo"});
  EXPECT_EQ(NamesIn("Kind regards,\nWalter van der Berg"), Names{"PERSON Walter van der Berg"});
}

TEST(Names, AreGuessesWhereAListAloneKnowsThem) {
  EXPECT_EQ(NamesIn("yesterday Patricia Jones called"), Names{"PERSON Patricia Jones?"});
  EXPECT_EQ(NamesIn("yesterday Patricia J. Obermayr called"), Names{"PERSON Patricia J. Obermayr?"});
  EXPECT_EQ(NamesIn("I told Patricia. Yes"), Names{"PERSON Patricia?"});
  EXPECT_EQ(NamesIn("with Grace Miller"), Names{"PERSON Grace Miller?"}) << "a word, and a surname beside it";
  for (const char* text : {"In May the Grace period of the Visa Card ends", "Please call on Monday", "The White House",
                           "NASA and JSON", "def Load(Path): return None", "I am Happy"})
    EXPECT_EQ(NamesIn(text), Names{}) << text;
}

TEST(Names, StreetsAreKnownByTheirForm) {
  EXPECT_EQ(NamesIn("to 221b Baker Street, London"), Names{"STREET_ADDRESS 221b Baker Street"});
  EXPECT_EQ(NamesIn("at 1600 Pennsylvania Ave. now"), Names{"STREET_ADDRESS 1600 Pennsylvania Ave."});
  EXPECT_EQ(NamesIn("Er wohnt in der Hauptstra\xC3\x9F"
                    "e 12."),
            Names{"STREET_ADDRESS Hauptstra\xC3\x9F"
                  "e 12"});
  EXPECT_EQ(NamesIn("au 12 bis, rue de la Paix demain"), Names{"STREET_ADDRESS 12 bis, rue de la Paix"});
  EXPECT_EQ(NamesIn("in Via Garibaldi 12 da"), Names{"STREET_ADDRESS Via Garibaldi 12"});
  for (const char* text : {"5 apples on the street", "Chapter 12 Section 3", "version 2 of Main"})
    EXPECT_EQ(NamesIn(text), Names{}) << text;
}

// A name that is taken out is taken out whole, and nothing of it leaves before.
TEST(Names, AreRedactedHoweverTheTextIsCut) {
  const ManualClock clock{WallTime{}};
  const std::string text = "My name is Patricia Jones, of 221b Baker Street, London.";
  for (size_t step = 1; step <= text.size(); ++step) {
    StreamOptions o;
    o.channel = Channel::kOutput;
    o.policy = DefaultPolicy(Channel::kOutput);
    Stream s(SharedWorker(), clock, o);
    std::string out;
    for (size_t i = 0; i < text.size(); i += step) out += s.Feed(std::string_view(text).substr(i, step)).value();
    out += s.Finish().value();
    EXPECT_EQ(out, "My name is [REDACTED_PERSON], of [REDACTED_STREET_ADDRESS], London.") << step;
  }
}

TEST(Names, APhraseEndsAtItsBound) {
  std::string text = "my name is";
  while (text.size() < 2 * limits::kMaxGuardPhraseBytes) text += " Patricia";
  const ManualClock clock{WallTime{}};
  StreamOptions o;
  o.policy = DefaultPolicy(Channel::kOutput);
  Stream s(SharedWorker(), clock, o);
  uint64_t held = 0;
  for (const char c : text) {
    ASSERT_TRUE(s.Feed({&c, 1}).ok());
    held = std::max(held, s.held());
  }
  EXPECT_GT(held, limits::kMaxGuardPhraseBytes - 10);
  EXPECT_LE(held, limits::kMaxGuardPhraseBytes + 10);
}

}  // namespace
}  // namespace hexr::guard
