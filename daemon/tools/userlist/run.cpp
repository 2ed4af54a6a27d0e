#include "tools/userlist/run.hpp"

#include <optional>

#include "base/text.hpp"
#include "tools/common/postgres.hpp"
#include "tools/userlist/target.hpp"

namespace pgweir::tools::userlist {

namespace {

constexpr int kLockSeconds = 60;  // longer than a run takes whose server does not answer

std::string octal(unsigned mode) {
  return {'0', static_cast<char>('0' + (mode >> 6 & 7)), static_cast<char>('0' + (mode >> 3 & 7)),
          static_cast<char>('0' + (mode & 7))};
}

class Run {
 public:
  Run(const Loaded& loaded, const Messages& messages) : settings_(loaded.settings), messages_(messages) {
    report_.file = settings_.output;
  }

  Report go() {
    if (!settings_.owner.empty()) {
      auto owner = parse_owner(settings_.owner);
      if (!owner) return fail(Exit::kUsage, owner.error().message);
      owner_ = *owner;
    }
    auto target = Target::open(settings_.output);
    if (!target) return fail(Exit::kFile, target.error().message);
    target_.emplace(target.take());
    if (settings_.action == Action::kWrite) {
      auto locked = target_->lock(kLockSeconds);
      if (!locked) return without_roles(Exit::kFile, locked.error().message);
    }
    return with_lock();
  }

 private:
  Report fail(Exit exit, const std::string& text) {
    report_.status = Status::kFailed;
    report_.exit = exit;
    report_.error = text;
    messages_.error(text);
    return std::move(report_);
  }

  Report with_lock() {
    auto connection = Connection::open(
        {settings_.connection, "pgweir-userlist", settings_.connect_timeout, settings_.statement_timeout});
    if (!connection)
      return without_roles(Exit::kConnection, cat("no connection to PostgreSQL: ", connection.error().message));
    report_.server = connection->server();
    auto roles = fetch_roles(*connection, settings_);
    for (const std::string& notice : connection->notices())
      messages_.warning(cat("PostgreSQL says: ", notice));
    if (!roles) return without_roles(connection->alive() ? Exit::kServer : Exit::kConnection, roles.error().message);
    Choice choice = choose_roles(roles.take(), settings_);
    report_.left_out = std::move(choice.left_out);
    if (choice.roles.empty() && !settings_.allow_empty)
      return without_roles(Exit::kServer,
                           "no role with a password fits the filters (--allow-empty writes a list "
                           "without any; --verbose with --dry-run tells why each is left out)");
    return with_roles(choice.roles);
  }

  Report with_roles(const std::vector<Role>& roles) {
    auto old = target_->read();
    if (!old) return fail(Exit::kFile, old.error().message);
    Document document;
    if (*old && !settings_.overwrite) {
      auto parsed = parse_document((*old)->text.view(), settings_.output);
      if (!parsed)
        return fail(Exit::kFile, cat(parsed.error().message,
                                     " (the file stays as it is; mend it, or replace all of it by "
                                     "--overwrite)"));
      document = parsed.take();
    }
    report_.plan = make_plan(document, roles);
    const bool same_text = *old && (*old)->text.view() == report_.plan.text.view();
    judge_facts(*old);
    if (same_text && report_.remarks.empty()) {
      report_.status = Status::kUpToDate;
      return std::move(report_);
    }
    const bool by_hand = !document.managed && document_has_entries(document);
    const bool loses = by_hand && !settings_.adopt && report_.plan.removed.size() + report_.plan.changed.size() > 0;
    return finish(*old, loses);
  }

  static bool document_has_entries(const Document& document) {
    for (const Piece& piece : document.pieces)
      if (piece.is_entry) return true;
    return false;
  }

  // Mode and owner; what is wrong becomes a remark, and the file is written anew.
  void judge_facts(const std::optional<OldFile>& old) {
    if (!old) return;
    if (!owner_) owner_ = old->owner;
    if (old->mode != settings_.mode)
      report_.remarks.push_back(cat("mode ", octal(old->mode), ", should be ", octal(settings_.mode)));
    if (old->owner.user != owner_->user || old->owner.group != owner_->group)
      report_.remarks.push_back(
          cat("owner ", old->owner.user, ':', old->owner.group, ", should be ", owner_->user, ':', owner_->group));
  }

  // `loses`: entries would go or change in a file that is not this tool's.
  Report finish(const std::optional<OldFile>& old, bool loses) {
    if (loses) {
      const std::string text = cat(
          shown_name(settings_.output), " was written by hand, and ", report_.plan.removed.size(),
          " of its entries would be removed and ", report_.plan.changed.size(),
          " changed: mark what is to stay by a line \"; pgweir-userlist: keep\" before it, look with --dry-run, then "
          "run once with --adopt");
      if (settings_.action == Action::kWrite) return fail(Exit::kFile, text);
      messages_.warning(text);
    }
    if (settings_.action == Action::kCheck) {
      report_.status = Status::kOutOfDate;
      report_.exit = Exit::kDiffers;
      return std::move(report_);
    }
    report_.status = Status::kWouldWrite;
    if (settings_.action == Action::kDryRun) return std::move(report_);
    auto written = target_->replace(report_.plan.text.view(), settings_.mode, owner_);
    if (!written) return fail(Exit::kFile, written.error().message);
    report_.status = Status::kWritten;
    if (old && old->mode != settings_.mode && (old->mode & S_IRGRP) && !(settings_.mode & S_IRGRP))
      messages_.warning(cat("the group of ", shown_name(settings_.output),
                            " could read it and cannot any more (mode = ", "0640 lets it)"));
    return std::move(report_);
  }

  // The roles cannot be had: what now is for on_failure to say.
  Report without_roles(Exit exit, const std::string& reason) {
    if (settings_.action != Action::kWrite || settings_.on_failure == OnFailure::kFail) return fail(exit, reason);
    report_.error = reason;
    if (target_->exists()) {
      messages_.warning(cat(reason, ": ", shown_name(settings_.output), " stays as it was"));
      report_.status = Status::kKeptOld;
      return std::move(report_);
    }
    if (settings_.on_failure == OnFailure::kKeep)
      return fail(exit, cat(reason, ", and there is no old ", shown_name(settings_.output)));
    auto written = target_->replace(make_plan({}, {}).text.view(), settings_.mode, owner_);
    if (!written) return fail(Exit::kFile, written.error().message);
    messages_.warning(cat(reason, ": ", shown_name(settings_.output), " has no entries, nobody in it can log in"));
    report_.status = Status::kWroteEmpty;
    return std::move(report_);
  }

  const Settings& settings_;
  const Messages& messages_;
  Report report_;
  std::optional<Target> target_;
  std::optional<Owner> owner_;  // nothing: whoever we are
};

}  // namespace

Report run(const Loaded& loaded, const Messages& messages) {
  for (const std::string& warning : loaded.warnings)
    messages.warning(warning);
  if (loaded.settings.if_configured && !loaded.configured) {
    Report report;
    report.file = loaded.settings.output;
    report.status = Status::kNotConfigured;
    return report;
  }
  return Run(loaded, messages).go();
}

}  // namespace pgweir::tools::userlist
