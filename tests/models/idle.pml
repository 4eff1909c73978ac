/* The idle protocol of the scheduler (src/sched/idle_set.hpp, worker.cpp, runtime.cpp), as a model for spin:
 *
 *   A publisher puts work where workers find it, fences, and looks for an idle processor, unless somebody searches.
 *   A worker that found nothing puts its processor into the idle set, fences, and looks for work once more.
 *   Of a searcher that finds something and was the last, the next publisher's duty becomes its own: it notifies.
 *
 * Claim: no work stays while all workers sleep. Stores are buffered, as x86-64 and aarch64 may: each party's stores
 * become visible to others some time after it has made them, in order, at the latest at its next fence or atomic
 * read-modify-write. With -DNO_PUBLISHER_FENCE or -DNO_SLEEPER_FENCE the claim has to fail; the check runs these, too,
 * to see that the model can find what it looks for.
 */
#ifndef WORKERS
#define WORKERS 2
#endif
#ifndef PUBLISHERS
#define PUBLISHERS 2
#endif

byte queue = 0;        /* work that every worker sees; changed under a lock, read without */
byte idle = WORKERS;   /* processors in the idle set: likewise */
byte searching = 0;    /* workers that search: atomic */
byte asleep = WORKERS; /* workers that sleep */
byte tokens = 0;       /* processors assigned to workers that are being woken: a futex, which forgets nothing */
byte published = 0;

/* What a party has stored and others do not see yet: at most one store to the queue's and one to the idle set's count
 * matter at a time. The lock around each is a fence for its own data; what matters is the order against the load of the
 * other one, which the lock's release does not give. */
byte queue_pending = 0;
byte idle_pending = 0;

/* The hardware makes a store visible whenever it likes. */
active proctype memory() {
end_memory:
  do
  :: atomic { queue_pending > 0 -> queue_pending--; queue++ }
  :: atomic { idle_pending > 0 -> idle_pending--; idle++ }
  od
}

inline drain_queue() { (queue_pending == 0) }
inline drain_idle() { (idle_pending == 0) }

/* runtime::notify, after its fence */
inline notify() {
  if
  :: idle == 0 || searching != 0 -> skip
  :: else ->
    if
    :: atomic { searching == 0 -> searching = 1 };
      if
      :: atomic { idle > 0 -> idle--; tokens++ }
      :: atomic { idle == 0 -> searching-- }
      fi
    :: atomic { searching != 0 -> skip }
    fi
  fi
}

proctype publisher() {
  atomic { queue_pending++; published++ };
#ifndef NO_PUBLISHER_FENCE
  drain_queue();
#endif
  notify()
}

proctype worker() {
  bool searches;
  bool found;
asleep_state:
end_asleep:
  atomic { tokens > 0 -> tokens--; asleep--; searches = true };
work:
  /* search: one look; more looks only make sleep rarer */
  found = false;
  if
  :: atomic { queue > 0 -> queue--; found = true }
  :: atomic { queue == 0 -> skip }
  fi;
  if
  :: found ->
    /* run it; first, whoever relied on this search is served: end_search, notify (find in worker.cpp) */
    if
    :: searches ->
      searches = false;
      if
      :: atomic { searching == 1 -> searching = 0 }; notify()
      :: atomic { searching > 1 -> searching-- }
      fi
    :: else -> skip
    fi;
    goto work
  :: else -> skip
  fi;
  /* sleep: announce, leave the search, fence, look again */
  atomic { idle_pending++ };
#ifndef NO_SLEEPER_FENCE
  drain_idle();
#endif
  if
  :: searches -> atomic { searching--; searches = false }
  :: else -> skip
  fi;
  if
  :: queue > 0 ->
    if
    :: atomic { idle > 0 -> idle--; searching++; searches = true }; goto work
    :: atomic { idle == 0 -> skip }
    fi
  :: else -> skip
  fi;
  asleep++;
  goto asleep_state
}

init {
  byte i;
  atomic {
    i = 0;
    do
    :: i < WORKERS -> run worker(); i++
    :: else -> break
    od;
    i = 0;
    do
    :: i < PUBLISHERS -> run publisher(); i++
    :: else -> break
    od
  };
  /* When nothing can move any more, no work is left. */
  (published == PUBLISHERS && asleep == WORKERS && tokens == 0 && timeout);
  assert(queue == 0 && queue_pending == 0)
}
