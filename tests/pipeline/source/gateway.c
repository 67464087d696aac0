/* A stand-in for the gateway: answers GET /healthz on loopback, in the manner named by /app/mode.
 * good, html (a web page for everything), sick (ok is false), silent (listens to nobody), crash (exit 78),
 * deaf (ignores SIGTERM). */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void stop(int signal_number) {
  (void)signal_number;
  _exit(0);
}

static void answer(int peer, const char *type, const char *body) {
  char request[1024];
  ssize_t ignored = read(peer, request, sizeof request);
  (void)ignored;
  dprintf(peer, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s", type,
          strlen(body), body);
  shutdown(peer, SHUT_WR);
  close(peer);
}

int main(void) {
  char mode[16] = "";
  FILE *file = fopen("/app/mode", "r");
  if (!file || !fgets(mode, sizeof mode, file)) return 1;
  mode[strcspn(mode, "\n")] = 0;
  signal(SIGTERM, strcmp(mode, "deaf") ? stop : SIG_IGN);
  fprintf(stderr, "gateway: mode %s\n::error::a log line that poses as a command\n", mode);
  if (!strcmp(mode, "crash")) return 78;
  if (!strcmp(mode, "silent")) for (;;) pause();

  int yes = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(18789)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 16)) return 1;
  for (;;) {
    int peer = accept(listener, 0, 0);
    if (!strcmp(mode, "html")) answer(peer, "text/html", "<html>OpenClaw</html>");
    else if (!strcmp(mode, "sick")) answer(peer, "application/json", "{\"ok\":false}");
    else answer(peer, "application/json", "{\"ok\":true,\"status\":\"live\"}");
  }
}
