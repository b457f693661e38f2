// One engine for all tests of the process: compiling the patterns takes a second.
#pragma once

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>

#include "base/utf8.h"
#include "guard/engine.h"
#include "guard/stream/worker.h"

namespace hexr::guard {

inline std::string U(std::initializer_list<uint32_t> code_points) {
  std::string out;
  for (const uint32_t c : code_points) AppendUtf8(c, out);
  return out;
}

inline void PrintTo(const Finding& f, std::ostream* out) {
  *out << ScannerName(f.scanner) << ' ' << f.type << ' ' << f.start << ".." << f.end << ' ' << ViewName(f.view) << ' '
       << f.score;
}

inline const std::shared_ptr<const Engine>& SharedEngine() {
  static const std::shared_ptr<const Engine> engine = [] {
    auto e = Engine::Create({});
    if (!e.ok()) ADD_FAILURE() << e.error().ToString();
    return e.value();
  }();
  return engine;
}

inline Worker& SharedWorker() {
  static const std::unique_ptr<Worker> worker = [] {
    auto w = Worker::Create(SharedEngine());
    if (!w.ok()) ADD_FAILURE() << w.error().ToString();
    return std::move(w).value();
  }();
  return *worker;
}

}  // namespace hexr::guard
