#include "runtime/loop.h"

#include <poll.h>
#include <sys/signalfd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <csignal>

namespace hexr::runtime {

namespace asio = boost::asio;

struct Loop::Impl {
  asio::io_context context{1};  // one thread runs it: no locks between handlers
};

// ---- timers

struct Timer::State {
  explicit State(asio::io_context& c) : timer(c) {}
  asio::steady_timer timer;
  UniqueFunction<void()> callback;
  bool live = true;
};

Timer::Timer(std::shared_ptr<State> s) : state_(std::move(s)) {}
Timer::Timer(Timer&&) noexcept = default;
Timer& Timer::operator=(Timer&& other) noexcept {
  Timer old(std::exchange(state_, std::move(other.state_)));  // ends last: what it holds may own this very Timer
  return *this;
}
Timer::~Timer() { Cancel(); }
bool Timer::pending() const { return state_ && state_->live; }
void Timer::Cancel() {
  const std::shared_ptr<State> state = std::move(state_);
  if (!state) return;
  state->live = false;
  state->timer.cancel();
  // What the callback holds is gone now, not when the aborted wait comes round: until then a weak_ptr to it would still
  // find it. Empty while the callback runs. Last, since it may own the object that this Timer is part of.
  const UniqueFunction<void()> dropped = std::move(state->callback);
}

// ---- descriptors

struct FdWatch::State : std::enable_shared_from_this<FdWatch::State> {
  State(asio::io_context& c, int fd) : descriptor(c, fd) {}
  ~State() { descriptor.release(); }

  asio::posix::stream_descriptor descriptor;
  UniqueFunction<void()> on_read;
  UniqueFunction<void()> on_write;
  bool live = true;
  bool want_read = false;
  bool want_write = false;
  bool read_armed = false;
  bool write_armed = false;
  bool running = false;  // one of the two callbacks is on the stack

  void ArmRead() {
    if (read_armed || !want_read || !live) return;
    read_armed = true;
    descriptor.async_wait(asio::posix::stream_descriptor::wait_read,
                          [self = shared_from_this()](const boost::system::error_code& e) {
                            self->read_armed = false;
                            if (!self->live || !self->want_read || e == asio::error::operation_aborted) return;
                            if (self->IsReady(POLLIN)) self->Run(self->on_read);
                            self->ArmRead();
                          });
  }
  void ArmWrite() {
    if (write_armed || !want_write || !live) return;
    write_armed = true;
    descriptor.async_wait(asio::posix::stream_descriptor::wait_write,
                          [self = shared_from_this()](const boost::system::error_code& e) {
                            self->write_armed = false;
                            if (!self->live || !self->want_write || e == asio::error::operation_aborted) return;
                            if (self->IsReady(POLLOUT)) self->Run(self->on_write);
                            self->ArmWrite();
                          });
  }
  // Asio gives the bookkeeping of a descriptor that is let go to the next one at once. An event of the old one that
  // came in the same round is then taken for the new one's: a process would be thought to have ended that has not.
  bool IsReady(short events) {
    pollfd p{descriptor.native_handle(), events, 0};
    return poll(&p, 1, 0) > 0;
  }
  void Run(UniqueFunction<void()>& callback) {
    running = true;
    callback();
    running = false;
    if (!live) Drop();
  }
  void End() {
    live = false;
    descriptor.release();  // cancels what is armed; the handlers drop the last references
    if (!running) Drop();
  }
  // As with timers: what the callbacks hold ends with the watch, not with the aborted waits.
  void Drop() { const UniqueFunction<void()> read = std::move(on_read), write = std::move(on_write); }
};

FdWatch::FdWatch(std::shared_ptr<State> s) : state_(std::move(s)) {}
FdWatch::FdWatch(FdWatch&&) noexcept = default;
FdWatch& FdWatch::operator=(FdWatch&& other) noexcept {
  FdWatch old(std::exchange(state_, std::move(other.state_)));
  return *this;
}
FdWatch::~FdWatch() {
  if (const std::shared_ptr<State> state = std::move(state_)) state->End();
}
void FdWatch::WantRead(bool on) {
  HEXR_CHECK(!on || state_->on_read);
  state_->want_read = on;
  state_->ArmRead();
}
void FdWatch::WantWrite(bool on) {
  HEXR_CHECK(!on || state_->on_write);
  state_->want_write = on;
  state_->ArmWrite();
}

// ---- the loop

Loop::Loop() : impl_(std::make_unique<Impl>()) {}
Loop::~Loop() = default;

void Loop::Run() {
  const auto stay = asio::make_work_guard(impl_->context);
  impl_->context.run();
  impl_->context.restart();
}

void Loop::RunReady() {
  impl_->context.restart();
  impl_->context.poll();
}

bool Loop::RunFor(std::chrono::nanoseconds timeout) {
  impl_->context.restart();
  const bool ran = impl_->context.run_one_for(timeout) > 0;
  impl_->context.poll();
  return ran;
}

void Loop::Stop() { impl_->context.stop(); }

void Loop::Post(UniqueFunction<void()> f) {
  asio::post(impl_->context, [f = std::move(f)]() mutable { f(); });
}

Timer Loop::After(std::chrono::nanoseconds delay, UniqueFunction<void()> f) {
  auto state = std::make_shared<Timer::State>(impl_->context);
  state->callback = std::move(f);
  state->timer.expires_after(delay);
  state->timer.async_wait([state](const boost::system::error_code& e) {
    if (e || !state->live) return;
    state->live = false;
    UniqueFunction<void()> callback = std::move(state->callback);  // outlives the Timer that it may destroy
    callback();
  });
  return Timer(std::move(state));
}

FdWatch Loop::Watch(int fd, UniqueFunction<void()> on_read, UniqueFunction<void()> on_write) {
  auto state = std::make_shared<FdWatch::State>(impl_->context, fd);
  state->on_read = std::move(on_read);
  state->on_write = std::move(on_write);
  state->want_read = static_cast<bool>(state->on_read);
  state->ArmRead();
  return FdWatch(std::move(state));
}

Result<std::unique_ptr<SignalWatch>> SignalWatch::Create(Loop& loop, std::initializer_list<int> signals,
                                                         UniqueFunction<void(int)> on_signal) {
  sigset_t set;
  sigemptyset(&set);
  for (const int s : signals) sigaddset(&set, s);
  if (const int e = pthread_sigmask(SIG_BLOCK, &set, nullptr); e != 0) return ErrnoError("block signals", e);
  std::unique_ptr<SignalWatch> w(new SignalWatch);
  w->fd_ = UniqueFd(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
  if (!w->fd_) return ErrnoError("signalfd", errno);
  w->on_signal_ = std::move(on_signal);
  SignalWatch* self = w.get();
  w->watch_ = loop.Watch(w->fd_.get(), [self] {
    signalfd_siginfo info;
    while (read(self->fd_.get(), &info, sizeof info) == sizeof info) self->on_signal_(static_cast<int>(info.ssi_signo));
  });
  return w;
}

}  // namespace hexr::runtime
