# What `cmake --install` puts in place: the daemon and pgweir-deploy in sbin, the tools in bin (each said beside its target),
# manual pages, the samples of /etc/pgweir. Packages configure with -DCMAKE_INSTALL_PREFIX=/usr, which makes SYSCONFDIR /etc;
# DESTDIR holds. Who may read what in /etc/pgweir is for the package to say: the files come with mode 0644.
include(GNUInstallDirs)

install(PROGRAMS ${CMAKE_SOURCE_DIR}/packaging/deploy DESTINATION ${CMAKE_INSTALL_SBINDIR} RENAME pgweir-deploy)

file(GLOB pages CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/man/*.[1-8])
foreach(page ${pages})
  string(REGEX REPLACE ".*\\.([1-8])$" "\\1" section ${page})
  install(FILES ${page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
endforeach()

file(GLOB samples CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/etc/*.ini ${CMAKE_SOURCE_DIR}/etc/*.conf)
install(FILES ${samples} DESTINATION ${CMAKE_INSTALL_FULL_SYSCONFDIR}/pgweir)
install(FILES ${CMAKE_SOURCE_DIR}/etc/userlist.example DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples)

# For systemd: the units, the account, the directories, log rotation, explanations of journal entries.
set(PGWEIR_UNIT_DIR lib/systemd/system CACHE STRING "where systemd's units go; relative to the prefix, or absolute")
file(GLOB units CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/systemd/*.service ${CMAKE_SOURCE_DIR}/systemd/*.socket)
install(FILES ${units} DESTINATION ${PGWEIR_UNIT_DIR})
# Type=notify-reload where systemd has it; before 253 it would be taken for Type=simple, without an error.
set(PGWEIR_SYSTEMD_VERSION ${SYSTEMD_VERSION} CACHE STRING "the version of systemd that the units are for")
if(PGWEIR_SYSTEMD_VERSION VERSION_GREATER_EQUAL 253)
  foreach(unit pgweir.service pgweir@.service)
    install(FILES ${CMAKE_SOURCE_DIR}/systemd/notify-reload.conf DESTINATION ${PGWEIR_UNIT_DIR}/${unit}.d
      RENAME 10-notify-reload.conf)
  endforeach()
endif()
install(FILES ${CMAKE_SOURCE_DIR}/systemd/pgweir.sysusers DESTINATION lib/sysusers.d RENAME pgweir.conf)
install(FILES ${CMAKE_SOURCE_DIR}/systemd/pgweir.tmpfiles DESTINATION lib/tmpfiles.d RENAME pgweir.conf)
install(FILES ${CMAKE_SOURCE_DIR}/systemd/pgweir.logrotate DESTINATION ${CMAKE_INSTALL_FULL_SYSCONFDIR}/logrotate.d
  RENAME pgweir)
file(GLOB catalogs CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/systemd/*.catalog)
install(FILES ${catalogs} DESTINATION lib/systemd/catalog)
