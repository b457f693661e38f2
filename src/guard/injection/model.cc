#include "guard/injection/model.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "crypto/digest.h"

namespace hexr::guard {
namespace {

constexpr std::string_view kModelMagic = "hexr-injection-1";
constexpr size_t kHeader = 16 + 4 + 4 * sizeof(float);
constexpr uint32_t kEvidenceKind = 31;

}  // namespace

Result<InjectionModel> InjectionModel::Parse(std::string_view bytes) {
  if (bytes.size() != kHeader + kFeatureBuckets + 32 || bytes.substr(0, kModelMagic.size()) != kModelMagic) {
    return DataLoss("the injection model has not the size and mark it must have");
  }
  const auto digest = crypto::Sha256(bytes.substr(0, bytes.size() - 32));
  if (std::memcmp(digest.data(), bytes.data() + bytes.size() - 32, 32) != 0) {
    return DataLoss("the injection model does not have the digest it was written with");
  }
  uint32_t bits = 0;
  std::memcpy(&bits, bytes.data() + 16, 4);
  InjectionModel m;
  std::memcpy(&m.scale_, bytes.data() + 20, 4);
  std::memcpy(&m.bias_, bytes.data() + 24, 4);
  std::memcpy(&m.threshold_, bytes.data() + 28, 4);
  std::memcpy(&m.sure_, bytes.data() + 32, 4);
  if (bits != kFeatureBits || !std::isfinite(m.scale_) || !std::isfinite(m.bias_) || !std::isfinite(m.threshold_) ||
      !std::isfinite(m.sure_)) {
    return DataLoss("the injection model is of another kind");
  }
  m.weights_.resize(kFeatureBuckets);
  std::memcpy(m.weights_.data(), bytes.data() + kHeader, kFeatureBuckets);
  return m;
}

std::string InjectionModel::Serialize() const {
  std::string out(kModelMagic);
  const auto put = [&](const auto& v) { out.append(reinterpret_cast<const char*>(&v), sizeof v); };
  put(kFeatureBits);
  put(scale_);
  put(bias_);
  put(threshold_);
  put(sure_);
  out.append(reinterpret_cast<const char*>(weights_.data()), weights_.size());
  const auto digest = crypto::Sha256(out);
  out.append(reinterpret_cast<const char*>(digest.data()), digest.size());
  return out;
}

InjectionModel InjectionModel::FromWeights(const std::vector<float>& weights, float bias, float threshold, float sure) {
  InjectionModel m;
  float most = 1e-6F;
  for (const float w : weights) most = std::max(most, std::fabs(w));
  m.scale_ = most / 127;
  m.bias_ = bias;
  m.threshold_ = threshold;
  m.sure_ = sure;
  m.weights_.resize(kFeatureBuckets);
  for (size_t i = 0; i < weights.size() && i < m.weights_.size(); ++i) {
    m.weights_[i] = static_cast<int8_t>(std::lround(weights[i] / m.scale_));
  }
  return m;
}

float InjectionModel::Logit(int32_t sum, uint32_t features) const {
  if (features == 0) return bias_;
  return bias_ + scale_ * static_cast<float>(sum) / std::sqrt(static_cast<float>(features));
}

float InjectionModel::Risk(float logit) const { return 1 / (1 + std::exp(-(logit - sure_))); }

void InjectionScorer::Feed(std::string_view bytes, std::vector<Window>& hot) {
  words_.Feed(bytes, [&](const uint32_t* f, size_t n, uint64_t end) { Words(f, n, end, hot); });
}

void InjectionScorer::Words(const uint32_t* features, size_t n, uint64_t end, std::vector<Window>& hot) {
  offset_ = end;
  Block& b = blocks_[filled_ - 1];
  const bool ends = ++words_in_block_ == kBlockWords;
  if (recorder_ != nullptr) recorder_->OnFeatures(features, n, ends);
  if (model_ != nullptr) {
    for (size_t i = 0; i < n; ++i) b.sum += model_->Weight(features[i]);
  }
  b.features += static_cast<uint32_t>(n);
  if (ends) EndBlock(hot);
}

void InjectionScorer::AddEvidence(uint32_t hash) {
  const uint32_t f = Bucket(kEvidenceKind, hash);
  if (recorder_ != nullptr) recorder_->OnFeatures(&f, 1, false);
  Block& b = blocks_[filled_ - 1];
  if (model_ != nullptr) b.sum += model_->Weight(f);
  ++b.features;
}

void InjectionScorer::Evaluate(std::vector<Window>& hot) {
  if (model_ == nullptr) return;
  int32_t sum = 0;
  uint32_t features = 0;
  for (size_t k = 1; k <= filled_; ++k) {
    const Block& b = blocks_[filled_ - k];
    sum += b.sum;
    features += b.features;
    if (k != kShortWindow && k != filled_ && k != kLongWindow) continue;
    const float logit = model_->Logit(sum, features);
    best_ = std::max(best_, logit);
    if (logit >= model_->threshold()) hot.push_back({b.start, offset_, logit});
  }
}

void InjectionScorer::EndBlock(std::vector<Window>& hot) {
  Evaluate(hot);
  words_in_block_ = 0;
  if (filled_ == kLongWindow) {
    std::copy(blocks_.begin() + 1, blocks_.end(), blocks_.begin());
  } else {
    ++filled_;
  }
  blocks_[filled_ - 1] = Block{0, 0, offset_};
}

void InjectionScorer::Finish(std::vector<Window>& hot) {
  words_.Finish([&](const uint32_t* f, size_t n, uint64_t end) { Words(f, n, end, hot); });
  if (blocks_[filled_ - 1].features > 0) Evaluate(hot);
}

}  // namespace hexr::guard
