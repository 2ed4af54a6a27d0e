#include "service/start.hpp"

int main(int argc, char** argv) {
  return pgweir::service::run(argc, argv);
}
