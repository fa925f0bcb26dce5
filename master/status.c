#include <unistd.h>

#include "master/status.h"
#include "master/timer.h"

static int64_t master_started;

void
status_begin(void)
{
    master_started = timer_now();
}

static void
send_line(const struct process *control, uint32_t request, uint32_t generation,
    const struct process *process)
{
    process_send(control, &(struct message){MESSAGE_STATUS_PROGRAM,
                              .status_program = {.request = request,
                                  .role = process->role,
                                  .instance = process->instance,
                                  .pid = (uint32_t)process->pid,
                                  .generation = generation,
                                  .age_ms = (uint64_t)(timer_now() - process->started),
                                  .restarts = process->restarts}});
}

void
status_answer(const struct generation *generation, const struct process *control, uint32_t request)
{
    const struct process master = {.role = ROLE_MASTER, .pid = getpid(), .started = master_started};
    uint32_t number = generation_number(generation);
    size_t count;
    const struct process *processes = generation_processes(generation, &count);

    send_line(control, request, number, &master);
    for (size_t i = 0; i < count; i++) {
        if (processes[i].pid != 0)
            send_line(control, request, number, &processes[i]);
    }
    process_send(control, &(struct message){MESSAGE_STATUS_END, .status_end = {request}});
}
