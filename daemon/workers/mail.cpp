#include "workers/mail.hpp"

namespace pgweir::workers {

void Mailbox::post(Mail mail) {
  std::lock_guard lock(mutex_);
  if (closed_) return;
  mail_.push_back(std::move(mail));
  if (bell_ && mail_.size() == 1) bell_->notify();
}

void Mailbox::open(std::unique_ptr<net::Wakeup> bell) {
  std::lock_guard lock(mutex_);
  bell_ = std::move(bell);
  if (!mail_.empty()) bell_->notify();
}

std::vector<Mail> Mailbox::collect() {
  std::vector<Mail> mail;
  std::lock_guard lock(mutex_);
  mail.swap(mail_);
  return mail;
}

void Mailbox::close() {
  std::vector<Mail> undelivered;
  std::lock_guard lock(mutex_);
  closed_ = true;
  bell_.reset();
  undelivered.swap(mail_);
}

}  // namespace pgweir::workers
