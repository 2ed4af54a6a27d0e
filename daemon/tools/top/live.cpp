// The live screen: one loop over keys, signals, the console, commands and knocks at PostgreSQL; nothing in it waits for
// anything but their next event.
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "base/text.hpp"
#include "tools/top/prober.hpp"
#include "tools/top/run.hpp"
#include "tools/top/sampler.hpp"
#include "tools/top/terminal.hpp"
#include "tools/top/view.hpp"

namespace pgweir::tools::top {

namespace {

constexpr std::chrono::seconds kConnectPatience(5);
constexpr std::chrono::hours kCommandPatience(24);  // PAUSE waits for transactions

// Signals that end the program come as something to read, so that the terminal is given back.
class Signals {
 public:
  Signals() {
    sigset_t set;
    ::sigemptyset(&set);
    for (int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT})
      ::sigaddset(&set, signal);
    ::sigprocmask(SIG_BLOCK, &set, &before_);
    fd_ = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  }
  ~Signals() {
    if (fd_ >= 0) ::close(fd_);
    ::sigprocmask(SIG_SETMASK, &before_, nullptr);
  }
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  int fd() const { return fd_; }
  bool came() const {
    signalfd_siginfo news{};
    return ::read(fd_, &news, sizeof news) == static_cast<ssize_t>(sizeof news);
  }

 private:
  sigset_t before_{};
  int fd_ = -1;
};

// One command at a time, on a connection of its own: PAUSE may take long.
class Commander {
 public:
  explicit Commander(const Target& target) : link_(target) {}

  void begin(const std::string& command) {
    command_ = command;
    link_.close();
    link_.connect(Clock::now() + kConnectPatience);
  }
  // Its outcome, once.
  std::optional<Result<Table>> step() {
    if (command_.empty()) return std::nullopt;
    const bool asked = link_.state() == Link::State::kAsking;
    link_.step();
    if (link_.state() == Link::State::kReady && !asked) link_.ask(command_, Clock::now() + kCommandPatience);
    if (link_.state() == Link::State::kFailed) return end(Error{link_.failure()});
    if (link_.state() == Link::State::kReady && asked) return end(link_.answer());
    return std::nullopt;
  }
  pollfd wanted() const { return link_.wanted(); }
  std::optional<Clock::time_point> due() const {
    return command_.empty() ? std::nullopt : std::optional(link_.deadline());
  }
  const std::string& command() const { return command_; }

 private:
  Result<Table> end(Result<Table> outcome) {
    command_.clear();
    link_.close();
    return outcome;
  }

  Link link_;
  std::string command_;
};

class Live {
 public:
  explicit Live(const Setting& setting)
      : probes_(setting.options.probe),
        ui_(setting.ui),
        model_(setting.thresholds),
        sampler_(setting.target, static_cast<int64_t>(setting.options.interval * 1000)),
        prober_(setting.target.local),
        commander_(setting.target),
        samples_(setting.options.samples) {}

  // The first look, before the screen is taken: who cannot connect is told on his own screen.
  Result<void> first() {
    while (true) {
      if (auto sample = sampler_.step()) {
        if (!sample->failure.empty()) return Error{sample->failure};
        see(*sample);
        return {};
      }
      wait_for({sampler_.wanted()}, sampler_.due());
    }
  }
  bool refused() const { return sampler_.refused(); }

  void loop(Terminal& terminal, const Signals& signals) {
    draw(terminal);
    while (!leave_) {
      wait_for(descriptors(signals), due());
      if (signals.came()) return;
      bool news = read_keys(terminal);
      news = look() || news;
      news = finish_command() || news;
      if (prober_.step()) news = take_probes() || news;
      if (news) draw(terminal);
    }
  }

 private:
  std::vector<pollfd> descriptors(const Signals& signals) const {
    std::vector<pollfd> out = prober_.wanted();
    out.push_back({STDIN_FILENO, POLLIN, 0});
    out.push_back({signals.fd(), POLLIN, 0});
    out.push_back(sampler_.wanted());
    out.push_back(commander_.wanted());
    return out;
  }

  Clock::time_point due() const {
    Clock::time_point out = ui_.frozen ? Clock::now() + kConnectPatience : sampler_.due();
    if (auto knock = prober_.due()) out = std::min(out, *knock);
    if (auto command = commander_.due()) out = std::min(out, *command);
    return out;
  }

  bool read_keys(Terminal& terminal) {
    bool any = false;
    while (true) {
      const std::string key = terminal.read_key();
      if (key.empty()) break;
      any = true;
      const Request request = press(ui_, key, model_.picture());
      if (request.kind == Request::Kind::kQuit) leave_ = true;
      if (request.kind == Request::Kind::kSample) sampler_.hurry();
      if (request.kind == Request::Kind::kCommand) commander_.begin(request.command);
      sampler_.want_sockets(ui_.page == Page::kPool);
    }
    pollfd input = {STDIN_FILENO, POLLIN, 0};
    if (::poll(&input, 1, 0) > 0 && (input.revents & (POLLHUP | POLLERR | POLLNVAL))) leave_ = true;
    return any;
  }

  bool look() {
    if (ui_.frozen && sampler_.wanted().fd < 0) return false;
    auto sample = sampler_.step();
    if (!sample) return false;
    see(*sample);
    if (samples_ > 0 && --samples_ == 0) leave_ = true;
    return true;
  }

  void see(const Sample& sample) {
    last_ = sample;
    model_.add(sample, prober_.results());
    if (probes_ && sample.failure.empty()) prober_.look_at(model_.picture());
  }

  bool take_probes() {
    model_.reach(last_, prober_.results());
    return true;
  }

  bool finish_command() {
    const std::string command = commander_.command();
    auto outcome = commander_.step();
    if (!outcome) return false;
    ui_.running.clear();
    const Level level = *outcome ? Level::kGreen : Level::kRed;
    ui_.message = *outcome ? cat("done: ", shown_text(command))
                           : cat(shown_text(command), " failed: ", shown_text(outcome->error().message));
    ui_.message_level = level;
    model_.note(last_.clock, *outcome ? Level::kYellow : Level::kRed, ui_.message);
    sampler_.hurry();
    return true;
  }

  void draw(Terminal& terminal) { terminal.show(screen(ui_, model_.picture(), terminal.columns(), terminal.height())); }

  bool probes_;
  Ui ui_;
  Model model_;
  Sampler sampler_;
  Prober prober_;
  Commander commander_;
  Sample last_;
  int samples_;
  bool leave_ = false;
};

}  // namespace

Exit run_live(const Setting& setting, const Messages& messages) {
  Live live(setting);
  auto first = live.first();
  if (!first) {
    messages.error(cat("no figures from the console: ", first.error().message));
    return live.refused() ? Exit::kServer : Exit::kConnection;
  }
  const Signals signals;
  Terminal terminal(wants_colours(STDOUT_FILENO));
  if (!terminal.works()) {
    messages.error("this terminal (TERM) is not known");
    return Exit::kUsage;
  }
  live.loop(terminal, signals);
  return Exit::kOk;
}

}  // namespace pgweir::tools::top
