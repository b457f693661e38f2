// The injection model: weights of hashed features in eight bits, and the score of a text as its worst window. A model
// is immutable and thread-safe; a scorer belongs to one stream.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "guard/injection/features.h"

namespace hexr::guard {

class InjectionModel {
 public:
  // The file format of `guard_train`: magic, figures, weights, SHA-256 of all before it. DATA_LOSS for anything else.
  static Result<InjectionModel> Parse(std::string_view bytes);
  std::string Serialize() const;

  static InjectionModel FromWeights(const std::vector<float>& weights, float bias, float threshold, float sure);

  int32_t Weight(uint32_t bucket) const { return weights_[bucket]; }
  // Logit of a window whose features' weights sum to `sum`.
  float Logit(int32_t sum, uint32_t features) const;
  // Logit at and above which a window counts as an injection, fixed when the model was calibrated.
  float threshold() const { return threshold_; }
  // 0 to 1; kSureScore at the second threshold, from which on a policy may block.
  float Risk(float logit) const;

 private:
  std::vector<int8_t> weights_;
  float scale_ = 1;
  float bias_ = 0;
  float threshold_ = 0;
  float sure_ = 0;
};

// Sees what a scorer is given: the trainer's way to the very features of run time.
class FeatureRecorder {
 public:
  virtual ~FeatureRecorder() = default;
  virtual void OnFeatures(const uint32_t* features, size_t count, bool block_ends) = 0;
};

inline constexpr uint32_t kBlockWords = 12;
inline constexpr size_t kShortWindow = 2;  // blocks
inline constexpr size_t kLongWindow = 5;

class InjectionScorer {
 public:
  struct Window {
    uint64_t start = 0;
    uint64_t end = 0;
    float logit = 0;
  };
  InjectionScorer(const InjectionModel* model, FeatureRecorder* recorder) : model_(model), recorder_(recorder) {}

  // The next bytes; windows that score at least the threshold are added to `hot`.
  void Feed(std::string_view bytes, std::vector<Window>& hot);
  // A rule has matched just here.
  void AddEvidence(uint32_t hash);
  void Finish(std::vector<Window>& hot);
  // The greatest logit of any window so far.
  float best() const { return best_; }

 private:
  struct Block {
    int32_t sum = 0;
    uint32_t features = 0;
    uint64_t start = 0;
  };
  void Words(const uint32_t* features, size_t n, uint64_t end, std::vector<Window>& hot);
  void EndBlock(std::vector<Window>& hot);
  void Evaluate(std::vector<Window>& hot);

  const InjectionModel* model_;
  FeatureRecorder* recorder_;
  WordFeatures words_;
  std::array<Block, kLongWindow> blocks_{};  // the current one last
  size_t filled_ = 1;
  uint32_t words_in_block_ = 0;
  uint64_t offset_ = 0;  // after the last word
  float best_ = -1e9F;
};

}  // namespace hexr::guard
