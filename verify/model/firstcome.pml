/*
 * Firstcome's protocol, from the gate's script to the row in the ledger, with what may fail on the way.
 * README.md says what each part stands for, what is left out, and how it is checked.
 *
 * A claim is a number, CLAIM(user, k) for the k-th coupon code drawn for that user; the same claim is the same code.
 * Sets of claims, users and seats are bit masks. An atomic step here is one that is atomic there: a Lua script, one
 * Redis command, a transaction, a message sent.
 *
 * -DFAULTS=n  faults in a run at most
 * -DONLY=n    check the n-th guarantee alone        -DFIRST=n  check the first n
 * -DNO_...    take one guard away
 * -DWAIT, -DTWO_REBUILDS, -DOLD_PRIMARY, -DFROM_A_LOSS, -DLOSES, -DHIDDEN  other circumstances, see README.md
 */

#ifndef FAULTS
#define FAULTS 1
#endif

#define N 2                       /* coupons */
#define K 3                       /* codes drawn for one user at most, in one run */
#define CLAIMS 9
#define CLAIM(u, k) ((u) * K + (k))
#define USER(c) (((c) - 1) / K)
#define BIT(i) (1 << (i))
#define HAS(set, i) (((set) & BIT(i)) != 0)

/* For printf: user 1 to 3, and the code as user.number */
#define NAME(u) ((u) + 1)
#define CODE(c) NAME(USER(c)), (((c) - 1) % K + 1)

#if defined(ONLY)
#define IS_WANTED(g) ((g) == ONLY)
#elif defined(FIRST)
#define IS_WANTED(g) ((g) <= FIRST)
#else
#define IS_WANTED(g) true
#endif

#define GUARANTEE(g, holds, broken) \
    if \
    :: IS_WANTED(g) && !(holds) -> printf("BROKEN: G%d: ", g); printf(broken); assert(false) \
    :: else \
    fi

/* Bags of claims: a set, and the set of those that are in it twice. Two copies stand for any number of them. */

inline add(c, set, twice) {
    if
    :: HAS(set, c) -> twice = twice | BIT(c)
    :: else -> set = set | BIT(c)
    fi
}

inline remove(c, set, twice) {
    if
    :: HAS(twice, c) -> twice = twice & ~BIT(c)
    :: else -> set = set & ~BIT(c)
    fi
}

inline pick(c, set) {
    if
    :: HAS(set, 1) -> c = 1
    :: HAS(set, 2) -> c = 2
    :: HAS(set, 3) -> c = 3
    :: HAS(set, 4) -> c = 4
    :: HAS(set, 5) -> c = 5
    :: HAS(set, 6) -> c = 6
    :: HAS(set, 7) -> c = 7
    :: HAS(set, 8) -> c = 8
    :: HAS(set, 9) -> c = 9
    fi
}

/* ---- The gate: Redis, a primary and a replica that may lag ------------------------------------------------------- */

typedef Gate {
    byte id;                      /* run id of this server process */
    bool exists;
    byte made_on;                 /* run id the gate may admit on; 0: closed */
    byte counter;
    byte claim[3];                /* user -> claim, 0: none */
    byte outbox;                  /* users */
    byte free;                    /* seats given before the counter goes on */
    byte again;                   /* those of them that are in the list twice */
    byte fence;                   /* the fence it is behind, 0: none */
    byte fenced_on                /* run id of the server it was fenced on */
}
Gate gate[2];
bit now;                          /* which is the primary */
bool lags;                        /* the other one is a replica that has stopped receiving */
bool is_split;                    /* the other one is an old primary that some connections still lead to */
byte runs = 1;                    /* run ids given */
byte fences;

#ifdef NO_FENCE
#define IS_WHOLE(s) gate[s].exists
#else
#define IS_WHOLE(s) (gate[s].exists && gate[s].made_on == gate[s].id)
#endif

inline forget(s) {
    gate[s].exists = 0; gate[s].made_on = 0; gate[s].counter = 0;
    gate[s].claim[0] = 0; gate[s].claim[1] = 0; gate[s].claim[2] = 0;
    gate[s].outbox = 0; gate[s].free = 0; gate[s].again = 0; gate[s].fence = 0;
    gate[s].fenced_on = 0
}

inline replicate(from, to) {
    gate[to].exists = gate[from].exists; gate[to].made_on = gate[from].made_on; gate[to].counter = gate[from].counter;
    gate[to].claim[0] = gate[from].claim[0]; gate[to].claim[1] = gate[from].claim[1];
    gate[to].claim[2] = gate[from].claim[2]; gate[to].outbox = gate[from].outbox;
    gate[to].free = gate[from].free; gate[to].again = gate[from].again; gate[to].fence = gate[from].fence;
    gate[to].fenced_on = gate[from].fenced_on
}

/* ---- The queue: SQS, a bag that delivers at least once ----------------------------------------------------------- */

short queued, queued_twice;       /* claims; one in flight is still in it */

/* ---- The ledger: MySQL ------------------------------------------------------------------------------------------- */

short rows;                       /* claims that have a row */
byte row_count;
byte taken;                       /* seats that have a row */
short overflow;
byte seat[CLAIMS + 1];            /* claim -> sequence */

/* ---- What the guarantees are about ------------------------------------------------------------------------------- */

byte drawn[3];                    /* user -> codes drawn */
byte given[3];                     /* user -> claim the user was given, 0: none */
byte given_seat[3];
bool was_sold_out;                /* somebody was answered so, after the last time that Redis forgot something */
short held;                       /* claims that a request has from the gate, and has not sent yet */
short sent;                       /* claims that a request has sent, and not yet noted at the gate and answered */
byte relayed;                     /* claim that the relay has from the gate, 0: none */
short old;                        /* held or sent when the gate was fenced: it stays closed until they are neither */
bool is_relay_old;                /* the relay had that claim when the gate was fenced; likewise */
byte faults = FAULTS;

#define FAULT faults > 0 -> faults--

inline answer(u, c) {
    printf("user %d is answered: accepted, seat %d, code %d.%d\n", NAME(u), seat[c], CODE(c));
    GUARANTEE(3, !HAS(overflow, c), "a claim without a row is accepted\n");
    GUARANTEE(5, given[u] == 0 || given[u] == c && given_seat[u] == seat[c], "the same user is given another coupon\n");
    given[u] = c;
    given_seat[u] = seat[c]
}

/* ---- Apply: apply.py and apply.lua ------------------------------------------------------------------------------- */

#ifdef NO_REPLAY
#define KNOWS(s, u) false
#else
#define KNOWS(s, u) (gate[s].claim[u] != 0)
#endif

#ifdef NO_LOST_CHECK
#define ADMITS(s) (!gate[s].exists || IS_WHOLE(s))
#else
#define ADMITS(s) IS_WHOLE(s)
#endif

/* Users are alike; so let them be admitted first in the order of their numbers. */
#define IS_NEXT(u) (u == 0 || drawn[u - (u > 0)] != 0)

/* A claim is out of a hand. */
inline release(c) {
    if
    :: !HAS(held | sent, c) -> old = old & ~BIT(c)
    :: else
    fi
}

#ifdef WAIT
#define IS_CONFIRMED(s) !(lags || is_split && s != now)
#else
#define IS_CONFIRMED(s) true
#endif

/* Gives the next seat to user u on server s, as claim c. */
inline admit(s, u, c) {
    drawn[u]++;
    assert(drawn[u] <= K);
    c = CLAIM(u, drawn[u]);
    gate[s].exists = 1;
    if
    :: gate[s].made_on == 0 -> gate[s].made_on = gate[s].id
    :: else
    fi;
    if
    :: gate[s].free == 0 -> gate[s].counter++; seat[c] = gate[s].counter
    :: else ->
        seat[c] = (HAS(gate[s].free, 1) -> 1 : 2);
        if
        :: HAS(gate[s].again, seat[c]) -> gate[s].again = gate[s].again & ~BIT(seat[c])
        :: else -> gate[s].free = gate[s].free & ~BIT(seat[c])
        fi
    fi;
    gate[s].claim[u] = c;
#ifndef NO_OUTBOX
    gate[s].outbox = gate[s].outbox | BIT(u);
#endif
    printf("user %d asks: server %d gives seat %d, code %d.%d\n", NAME(u), gate[s].id, seat[c], CODE(c));
    if
    :: IS_CONFIRMED(s) ->
#ifdef NO_CONFIRM
        answer(u, c)              /* and Lambda freezes what has answered: sending is left to the relay */
#else
        held = held | BIT(c)
#endif
    :: else -> printf("  no replica confirms it: 503\n")
    fi
}

#define OUTBOX(s, u) HAS(gate[s].outbox, u)
#ifdef NO_RELAY_WAIT
#define RELAYS(s) true
#else
#define RELAYS(s) IS_CONFIRMED(s)
#endif
#define HAS_SEAT(s) (gate[s].free != 0 || gate[s].counter < N)
#define IS_GIVEN(u, c) (given[u] == c && given_seat[u] == seat[c])

#define ASKS(s) \
    :: d_step { KNOWS(s, u) && OUTBOX(s, u) && IS_CONFIRMED(s) && !HAS(held | sent, gate[s].claim[u]) -> \
            c = gate[s].claim[u]; \
            held = held | BIT(c); \
            printf("user %d asks: server %d replays seat %d, code %d.%d, in the outbox\n", \
                NAME(u), gate[s].id, seat[c], CODE(c)); \
            c = 0 \
        } \
    :: d_step { KNOWS(s, u) && !OUTBOX(s, u) && !IS_GIVEN(u, gate[s].claim[u]) -> \
            c = gate[s].claim[u]; \
            printf("user %d asks: server %d replays seat %d, code %d.%d\n", NAME(u), gate[s].id, seat[c], CODE(c)); \
            answer(u, c); \
            c = 0 \
        } \
    :: d_step { !KNOWS(s, u) && ADMITS(s) && HAS_SEAT(s) && IS_NEXT(u) -> admit(s, u, c); c = 0 } \
    :: d_step { !KNOWS(s, u) && ADMITS(s) && !HAS_SEAT(s) && (!was_sold_out || given[u] != 0) -> \
            printf("user %d asks: sold out\n", NAME(u)); \
            GUARANTEE(5, given[u] == 0, "a user who has a coupon is answered that there is none\n"); \
            was_sold_out = true \
        }

/* User u asks, as often as they like; a request that changes nothing, whatever its answer, is left out. */
proctype User(byte u) {
    byte c;
end:
    do
    ASKS(now)
#ifdef OLD_PRIMARY
    ASKS(1 - now)
#endif
    od
}

/* The users' requests once the gate has answered, any number at a time. */
proctype Requests() {
    byte c, u;
end:
    do
    :: atomic { held != 0 -> pick(c, held); held = held & ~BIT(c);
            if
            :: add(c, queued, queued_twice); sent = sent | BIT(c);
                printf("user %d's request queues code %d.%d\n", NAME(USER(c)), CODE(c))
            :: FAULT; printf("FAULT: user %d's request dies before it sends code %d.%d\n", NAME(USER(c)), CODE(c))
            fi;
            release(c); c = 0
        }
    :: atomic { sent != 0 -> pick(c, sent); sent = sent & ~BIT(c); u = USER(c);
            if
            :: gate[now].outbox = gate[now].outbox & ~BIT(u); answer(u, c)
            :: FAULT; printf("FAULT: the gate does not note that code %d.%d was sent\n", CODE(c)); answer(u, c)
            :: FAULT; printf("FAULT: user %d's request dies after it has sent code %d.%d\n", NAME(u), CODE(c))
            fi;
            release(c); c = 0; u = 0
        }
    od
}

/* ---- Relay: relay.py --------------------------------------------------------------------------------------------- */

proctype Relay() {
end:
    do
    :: atomic {
            if
            :: RELAYS(now) && OUTBOX(now, 0) -> relayed = gate[now].claim[0]
            :: RELAYS(now) && OUTBOX(now, 1) -> relayed = gate[now].claim[1]
            :: RELAYS(now) && OUTBOX(now, 2) -> relayed = gate[now].claim[2]
#ifdef OLD_PRIMARY
            :: is_split && RELAYS(1 - now) && OUTBOX(1 - now, 0) -> relayed = gate[1 - now].claim[0]
            :: is_split && RELAYS(1 - now) && OUTBOX(1 - now, 1) -> relayed = gate[1 - now].claim[1]
            :: is_split && RELAYS(1 - now) && OUTBOX(1 - now, 2) -> relayed = gate[1 - now].claim[2]
#endif
            fi;
            printf("the relay reads code %d.%d\n", CODE(relayed))
        }
        if
        :: d_step { add(relayed, queued, queued_twice); printf("the relay queues code %d.%d\n", CODE(relayed)) };
            atomic {
                if
                :: gate[now].outbox = gate[now].outbox & ~BIT(USER(relayed))
                :: FAULT; printf("FAULT: the relay dies before it notes that at the gate\n")
                fi;
                relayed = 0; is_relay_old = false
            }
        :: atomic { FAULT; printf("FAULT: the relay dies before it sends\n");
                relayed = 0; is_relay_old = false }
        fi
    od
}

/* ---- Drain: drain.py and mysql/ledger.py ------------------------------------------------------------------------- */

#define ROW(c) HAS(rows, c)
#define OF_USER(u) (7 << CLAIM(u, 1))
#define IS_TAKEN(s) HAS(taken, s)

inline insert(c) {
    rows = rows | BIT(c);
    taken = taken | BIT(seat[c]);
    row_count++;
    printf("the drain writes seat %d, code %d.%d\n", seat[c], CODE(c));
    GUARANTEE(1, row_count <= N, "more rows than coupons\n")
}

inline overflows(c) {
    overflow = overflow | BIT(c);
    printf("the drain puts code %d.%d into overflow\n", CODE(c));
    GUARANTEE(3, given[USER(c)] != c, "an accepted claim gets no row\n")
}

/* One transaction: claim c gets its row, or has it, or gets another seat, or goes to overflow. */
inline settle(c) {
#ifdef NO_UNIQUE_KEYS
    GUARANTEE(2, (rows & OF_USER(USER(c))) == 0, "a user gets a second row\n");
    insert(c)
#else
    if
    :: ROW(c) -> printf("the drain finds code %d.%d there\n", CODE(c))
    :: !ROW(c) && (rows & OF_USER(USER(c))) != 0 -> overflows(c)
    :: else ->
        if
        :: !IS_TAKEN(seat[c]) -> insert(c)
        :: IS_TAKEN(seat[c]) && row_count < N ->
            seat[c] = 3 - seat[c];
            printf("the drain finds the seat of code %d.%d taken\n", CODE(c));
            insert(c)
        :: else -> overflows(c)
        fi
    fi
#endif
}

/* mark_issued.lua, of a claim that has a row. */
inline mark(c) {
    if
    :: gate[now].exists && ROW(c) ->
        gate[now].claim[USER(c)] = c;
        if
        :: seat[c] > gate[now].counter -> gate[now].made_on = 0; printf("  the gate has forgotten it, and is fenced\n")
        :: else
        fi
    :: else
    fi
}

proctype Drain() {
    byte c;
end:
    do
    :: atomic { queued != 0 -> pick(c, queued); d_step { settle(c) } };
        atomic {
            if
            :: mark(c); remove(c, queued, queued_twice)
            :: FAULT; printf("FAULT: the gate does not note code %d.%d\n", CODE(c)); remove(c, queued, queued_twice)
            :: FAULT; printf("FAULT: the drain dies before it deletes the message of code %d.%d\n", CODE(c))
            fi;
            c = 0
        }
    od
}

/* ---- Rebuild: rebuild.py, fence.lua, restore.lua, reopen.lua ----------------------------------------------------- */

#ifdef NO_QUIET
#define IS_QUIET true
#elif defined(NO_RELAY_QUIET)
#define IS_QUIET (old == 0)
#else
#define IS_QUIET (old == 0 && !is_relay_old)
#endif

#ifdef NO_EMPTY
#define IS_EMPTY true
#else
#define IS_EMPTY (queued == 0)
#endif

#ifdef NO_FENCE_OF_SERVER
#define IS_FENCED_HERE(s) (gate[s].fence != 0)
#else
#define IS_FENCED_HERE(s) (gate[s].fence != 0 && gate[s].fenced_on == gate[s].id)
#endif

#ifdef NO_FENCE_TOKEN
#define MAY_REOPEN(s) (gate[s].id == on)
#else
#define MAY_REOPEN(s) (gate[s].id == on && gate[s].fence == fence)
#endif

byte lock;                        /* GET_LOCK of the ledger: the rebuild that has it, 0: none */

inline restore_user(u) {
    if
    :: (rows & OF_USER(u)) != 0 ->
        gate[now].claim[u] = (ROW(CLAIM(u, 1)) -> CLAIM(u, 1) : (ROW(CLAIM(u, 2)) -> CLAIM(u, 2) : CLAIM(u, 3)));
        gate[now].outbox = gate[now].outbox & ~BIT(u)
    :: (rows & OF_USER(u)) == 0 && (overflow & OF_USER(u)) != 0 && gate[now].claim[u] == 0 ->
        gate[now].claim[u] = (HAS(overflow, CLAIM(u, 1)) -> CLAIM(u, 1) :
            (HAS(overflow, CLAIM(u, 2)) -> CLAIM(u, 2) : CLAIM(u, 3)))
    :: else
    fi
}

/* A claim that the gate has and the ledger has not is sent again, and keeps its seat. */
inline keep_user(u) {
    if
    :: gate[now].claim[u] != 0 && !HAS(rows | overflow, gate[now].claim[u]) ->
        gate[now].outbox = gate[now].outbox | BIT(u);
        free = free & ~BIT(seat[gate[now].claim[u]])
    :: else
    fi
}

inline unlock() {
    if
    :: lock == me -> lock = 0
    :: else
    fi
}

inline give_up() {
    FAULT; unlock(); printf("FAULT: the rebuild dies\n")
}

proctype Rebuild(byte me) {
    byte c, on, fence, highest, free;
end:
    do
    :: d_step { !IS_WHOLE(now) && !lock ->
            lock = me;
            gate[now].exists = 1; gate[now].made_on = 0;
            highest = gate[now].counter;
            on = gate[now].id;
            if
            :: !IS_FENCED_HERE(now) ->
                fences++; gate[now].fence = fences; gate[now].fenced_on = on;
                old = held | sent; is_relay_old = (relayed != 0)
            :: else
            fi;
            fence = gate[now].fence;
            printf("server %d is fenced\n", on)
        }
        if
        :: d_step { IS_QUIET && gate[now].outbox == 0 && IS_EMPTY -> printf("all has settled\n") };
            if
            :: d_step {
                    c = 0;
                    do
                    :: c < 3 -> restore_user(c); c++
                    :: else -> break
                    od;
                    c = 0;
                    if
                    :: IS_TAKEN(2) -> highest = 2
                    :: !IS_TAKEN(2) && IS_TAKEN(1) && highest == 0 -> highest = 1
                    :: else
                    fi;
                    printf("claims are restored on server %d\n", gate[now].id)
                };
                if
                :: d_step {
                        free = (highest >= 1 && !IS_TAKEN(1) -> BIT(1) : 0);
                        free = free | (highest >= 2 && !IS_TAKEN(2) -> BIT(2) : 0);
                        c = 0;
                        do
                        :: c < 3 -> keep_user(c); c++
                        :: else -> break
                        od;
                        c = 0
                    };
#ifdef NO_FREE_AT_ONCE
                    if
                    :: atomic { gate[now].free = free; gate[now].again = 0;
                            printf("free seats are put into the list\n")
                        }
#ifdef NO_IDEMPOTENT_FREE
                    :: atomic { FAULT; gate[now].free = free; gate[now].again = free;
                            printf("FAULT: free seats are put into the list, the reply is lost, and it is done again\n")
                        }
#endif
                    fi;
#endif
                    if
                    :: d_step {
                            if
                            :: MAY_REOPEN(now) ->
#ifndef NO_FREE_AT_ONCE
                                gate[now].free = free;
#endif
                                gate[now].exists = 1; gate[now].made_on = on;
                                gate[now].fence = 0; gate[now].fenced_on = 0;
                                if
                                :: gate[now].counter < highest -> gate[now].counter = highest
                                :: else
                                fi;
                                printf("server %d is reopened, counter %d, free: %d %d\n", on, gate[now].counter,
                                    HAS(gate[now].free, 1), HAS(gate[now].free, 2))
                            :: else -> printf("server %d is not the one that was fenced, or has forgotten it\n",
                                gate[now].id)
                            fi;
                            unlock()
                        }
                    :: atomic { give_up() }
                    fi
                :: atomic { give_up() }
                fi
            :: atomic { give_up() }
            fi
        :: d_step { IS_QUIET && gate[now].outbox != 0 ->
                printf("the rebuild queues what is outbox\n");
                highest = 0;
                do
                :: highest < 3 ->
                    c = gate[now].claim[highest];
                    if
                    :: OUTBOX(now, highest) -> add(c, queued, queued_twice)
                    :: else
                    fi;
                    highest++
                :: else -> break
                od;
                gate[now].outbox = 0;
                unlock()
            }
        fi;
        d_step { c = 0; on = 0; fence = 0; highest = 0; free = 0 }
    od
}

/* ---- Reconcile: reconcile.py, once all that was sent has been delivered, or is lost ------------------------------- */

#define IS_NOWHERE(u) (gate[now].claim[u] != 0 && !HAS(rows | overflow, gate[now].claim[u]) && !OUTBOX(now, u))

#define RESEND(u) \
    :: d_step { IS_WHOLE(now) && held == 0 && sent == 0 && queued == 0 && IS_NOWHERE(u) -> \
            gate[now].outbox = gate[now].outbox | BIT(u); \
            printf("the relay finds code %d.%d nowhere, and will send it again\n", CODE(gate[now].claim[u])) \
        }

proctype Reconcile() {
end:
    do
    RESEND(0)
    RESEND(1)
    RESEND(2)
    od
}

/* ---- Faults that no process of ours takes part in ---------------------------------------------------------------- */

proctype Trouble() {
    byte back;
end:
    do
    :: d_step { faults > 0 && !lags && !is_split -> faults--;
            printf("FAULT: the replica of server %d receives no more\n", gate[now].id);
            lags = true;
            replicate(now, 1 - now)
        };
        d_step {
            lags = false;
            now = 1 - now;
#ifdef NO_PROMOTION_ID
            back = gate[now].id;
#endif
#ifndef HIDDEN
            if
            :: back == 0 -> runs++; gate[now].id = runs
            :: else
            fi;
#endif
            printf("FAULT: it is promoted, as server %d\n", gate[now].id);
            back = 0;
            was_sold_out = false;
#ifdef OLD_PRIMARY
            is_split = true
#else
            forget(1 - now)
#endif
        }
#ifdef OLD_PRIMARY
        ;
        atomic { is_split -> is_split = false; forget(1 - now) }
#endif
    :: d_step { faults > 0 && gate[now].exists -> faults--;
            printf("FAULT: server %d is wiped\n", gate[now].id);
            forget(now);
            was_sold_out = false
        }
    :: d_step { faults > 0 && (rows | overflow) & ~queued ->
            faults--;
            printf("FAULT: settled messages are delivered once more\n");
            queued = queued | rows | overflow
        }
#ifdef TWO_REBUILDS
    :: d_step { faults > 0 && lock -> faults--; lock = 0;
            printf("FAULT: the ledger's connection is lost, and the rebuild's lock with it\n")
        }
#endif
#ifdef LOSES
    :: d_step { faults > 0 && queued != 0 -> faults--;
            printf("FAULT: the queue is purged\n");
            queued = 0; queued_twice = 0
        }
    :: d_step { faults > 0 && rows != 0 -> faults--;
            printf("FAULT: the ledger is restored from a backup without any row\n");
            rows = 0; row_count = 0; taken = 0
        }
    :: d_step { faults > 0 && row_count == N -> faults--; pick(back, rows);
            printf("FAULT: the ledger is restored from a backup without code %d.%d\n", CODE(back));
            rows = rows & ~BIT(back); row_count--; taken = taken & ~BIT(seat[back]);
            back = 0
        }
#endif
    od
}

/* ---- The run, and what must hold when all has come to rest ------------------------------------------------------- */

inline check_user(u) {
    if
    :: given[u] != 0 ->
        GUARANTEE(3, ROW(given[u]), "an accepted claim has no row\n");
        GUARANTEE(5, seat[given[u]] == given_seat[u], "the row has another sequence than the user was given\n")
    :: else
    fi
}

#ifdef NO_RELAY
#define IS_SENT true
#else
#define IS_SENT (gate[now].outbox == 0)
#endif
#ifdef NO_RECONCILE
#define IS_RECONCILED true
#else
#define IS_RECONCILED !(IS_NOWHERE(0) || IS_NOWHERE(1) || IS_NOWHERE(2))
#endif
#define IS_SETTLED (held == 0 && sent == 0 && relayed == 0 && queued == 0 && IS_SENT)
#define IS_AT_REST (IS_SETTLED && IS_WHOLE(now) && !lock && IS_RECONCILED)

init {
    byte u;
    atomic {
        gate[0].id = 1;
#ifdef FROM_A_LOSS
        /* Two faults have been already: the claim of seat 1 was lost with its request, then Redis was wiped. */
        drawn[0] = 1; seat[CLAIM(0, 1)] = 2; rows = BIT(CLAIM(0, 1)); row_count = 1; taken = BIT(2);
        given[0] = CLAIM(0, 1); given_seat[0] = 2;
#else
        gate[0].exists = 1; gate[0].made_on = 1;
#endif
        run User(0); run User(1); run User(2); run Requests(); run Drain(); run Rebuild(1); run Trouble();
#ifndef NO_RELAY
        run Relay();
#endif
#ifndef NO_RECONCILE
        run Reconcile();
#endif
#ifdef TWO_REBUILDS
        run Rebuild(2);
#endif
    }
end:
    do
    :: d_step { IS_AT_REST ->
            u = 0;
            do
            :: u < 3 -> check_user(u); u++
            :: else -> break
            od;
            u = 0;
            GUARANTEE(4, !was_sold_out || IS_TAKEN(1) && IS_TAKEN(2),
                "sold out, and a seat is empty\n")
        }
    :: timeout -> printf("BROKEN: stuck\n"); assert(false)
    od
}
