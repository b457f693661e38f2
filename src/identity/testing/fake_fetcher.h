// A Fetcher that a test answers by hand, or that answers from a table.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <utility>

#include "identity/fetcher.h"

namespace hexr::identity::testing {

class FakeFetcher final : public Fetcher {
 public:
  struct Asked {
    FetchRequest request;
    UniqueFunction<void(Result<FetchResponse>)> done;
  };
  void Fetch(FetchRequest request, UniqueFunction<void(Result<FetchResponse>)> done) override {
    ++count;
    asked.push_back({std::move(request), std::move(done)});
  }
  // Answers the oldest question from `pages`; one that is not there is a 404.
  void AnswerOne() {
    Asked a = std::move(asked.front());
    asked.pop_front();
    const auto it = pages.find(a.request.url);
    a.done(it == pages.end() ? FetchResponse{404, "", server_chain} : FetchResponse{200, it->second, server_chain});
  }
  void AnswerAll() {
    while (!asked.empty()) AnswerOne();
  }
  void FailOne(Error why) {
    Asked a = std::move(asked.front());
    asked.pop_front();
    a.done(std::move(why));
  }

  std::map<std::string, std::string> pages;
  std::vector<Bytes> server_chain;  // that every server shows
  std::deque<Asked> asked;
  int count = 0;
};

}  // namespace hexr::identity::testing
