#include "gateway/egress/names.h"

#include <algorithm>
#include <array>

#include "base/limits/gateway.h"
#include "crypto/digest.h"

namespace hexr::gateway {
namespace {

constexpr uint32_t kV4Base = (198u << 24) | (18u << 16);
constexpr uint32_t kSlots = (1u << 17) - 2;  // the first and the last address of the /15 stay unused
constexpr std::array<uint8_t, 8> kV6Prefix = {0xfd, 0x00, 0x68, 0x65, 0x78, 0x72, 0x00, 0x0d};

uint32_t ReadBig(ByteView b) {
  return uint32_t{b[0]} << 24 | uint32_t{b[1]} << 16 | uint32_t{b[2]} << 8 | uint32_t{b[3]};
}

std::array<uint8_t, 4> WriteBig(uint32_t v) {
  return {static_cast<uint8_t>(v >> 24), static_cast<uint8_t>(v >> 16), static_cast<uint8_t>(v >> 8),
          static_cast<uint8_t>(v)};
}

}  // namespace

SyntheticNames::Addresses SyntheticNames::AddressesOf(uint32_t slot) {
  std::array<uint8_t, 16> v6{};
  std::copy(kV6Prefix.begin(), kV6Prefix.end(), v6.begin());
  const auto low = WriteBig(slot);
  std::copy(low.begin(), low.end(), v6.begin() + 12);
  return {*IpAddress::FromBytes(WriteBig(kV4Base + slot)), *IpAddress::FromBytes(v6)};
}

std::optional<uint32_t> SyntheticNames::SlotOf(const IpAddress& address) {
  const ByteView b = address.bytes();
  uint32_t slot = 0;
  if (address.v4()) {
    slot = ReadBig(b) - kV4Base;  // wraps far out of range for addresses below
  } else {
    const bool ours = std::equal(kV6Prefix.begin(), kV6Prefix.end(), b.begin()) && ReadBig(b.subspan(8)) == 0;
    if (!ours) return std::nullopt;
    slot = ReadBig(b.subspan(12));
  }
  if (slot < 1 || slot > kSlots) return std::nullopt;
  return slot;
}

Result<SyntheticNames::Addresses> SyntheticNames::Assign(const HostName& name) {
  if (const auto it = by_name_.find(name.value()); it != by_name_.end()) return AddressesOf(it->second);
  if (by_slot_.size() >= limits::kMaxSyntheticNames) {
    return ResourceExhausted("this instance has asked for more names than the limit");
  }
  const uint32_t slot = FreeSlotFor(name);
  by_slot_.emplace(slot, name);
  by_name_.emplace(name.value(), slot);
  return AddressesOf(slot);
}

uint32_t SyntheticNames::FreeSlotFor(const HostName& name) const {
  const crypto::Sha256Digest digest = crypto::Sha256({AsBytes(instance_.value()), AsBytes("/"), AsBytes(name.value())});
  uint32_t slot = ReadBig(digest) % kSlots + 1;
  while (by_slot_.contains(slot)) slot = slot % kSlots + 1;
  return slot;
}

bool SyntheticNames::WouldGive(const HostName& name, const IpAddress& address) const {
  const std::optional<uint32_t> slot = SlotOf(address);
  if (!slot) return false;
  const auto it = by_name_.find(name.value());
  return *slot == (it != by_name_.end() ? it->second : FreeSlotFor(name));
}

const HostName* SyntheticNames::Find(const IpAddress& address) const {
  const std::optional<uint32_t> slot = SlotOf(address);
  if (!slot) return nullptr;
  const auto it = by_slot_.find(*slot);
  return it == by_slot_.end() ? nullptr : &it->second;
}

bool SyntheticNames::IsSynthetic(const IpAddress& address) { return SlotOf(address).has_value(); }

}  // namespace hexr::gateway
