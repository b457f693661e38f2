// Result<T>: a value or an Error. Every function that can fail for a reason outside the program returns one.
// Value type; not thread-safe.
#pragma once

#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include "base/check.h"
#include "base/error.h"

namespace hexr {

template <class T>
class [[nodiscard]] Result {
 public:
  using value_type = T;

  Result(T value) : v_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit by design
  Result(Error error) : v_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit by design

  bool ok() const { return v_.index() == 0; }
  explicit operator bool() const { return ok(); }

  // CHECK-fails when there is no value: look at ok() first, or use ASSIGN_OR_RETURN.
  T& value() & {
    HEXR_CHECK(ok());
    return *std::get_if<0>(&v_);
  }
  const T& value() const& {
    HEXR_CHECK(ok());
    return *std::get_if<0>(&v_);
  }
  T&& value() && {
    HEXR_CHECK(ok());
    return std::move(*std::get_if<0>(&v_));
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  const Error& error() const& {
    HEXR_CHECK(!ok());
    return *std::get_if<1>(&v_);
  }
  Error&& error() && {
    HEXR_CHECK(!ok());
    return std::move(*std::get_if<1>(&v_));
  }

  T value_or(T other) && { return ok() ? std::move(*this).value() : std::move(other); }

 private:
  std::variant<T, Error> v_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT: implicit by design

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  const Error& error() const& {
    HEXR_CHECK(!ok());
    return *error_;
  }
  Error&& error() && {
    HEXR_CHECK(!ok());
    return std::move(*error_);
  }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;
inline Status Ok() { return {}; }

}  // namespace hexr

#define HEXR_CONCAT_INNER(a, b) a##b
#define HEXR_CONCAT(a, b) HEXR_CONCAT_INNER(a, b)

// RETURN_IF_ERROR(expr): leaves the function with expr's error, if it has one.
#define RETURN_IF_ERROR(expr)                                     \
  do {                                                            \
    auto hexr_status = (expr);                                    \
    if (!hexr_status.ok()) return std::move(hexr_status).error(); \
  } while (false)

// ASSIGN_OR_RETURN(auto x, expr): x is expr's value, or the function ends with its error.
#define ASSIGN_OR_RETURN(lhs, expr) ASSIGN_OR_RETURN_IMPL(HEXR_CONCAT(hexr_result_, __LINE__), lhs, expr)
#define ASSIGN_OR_RETURN_IMPL(tmp, lhs, expr)   \
  auto tmp = (expr);                            \
  if (!tmp.ok()) return std::move(tmp).error(); \
  lhs = std::move(tmp).value()
