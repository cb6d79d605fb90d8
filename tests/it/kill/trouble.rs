//! The incidents, put into effect.

use std::time::Duration;

use super::incident::{Incident, Late};
use super::life::{LIMIT, Life, wait_fuse};
use crate::support::{Action, Bridge, Direction, Edge, Match, wait_until};

use Direction::{ToClient, ToServer};

/// How a packet begins whose guard is SQL.
const GUARD: &[u8] = b"DO IFNULL((SELECT 1 FROM";
/// How one begins whose guard is the last of its row events; the command byte stands before it.
const GUARDED_ROWS: &[u8] = b"\x03BINLOG '";
/// How either ends.
const COMMIT: &[u8] = b"\n;COMMIT";
/// How a later piece of a large transaction begins.
const PIECE: &[u8] = b"DO IF(@binbridge_part";
/// DDL that is only ever a whole statement; each must not run twice.
const DDL: [&[u8]; 3] = [b"RENAME TABLE SwapA", b"ALTER TABLE Orders", b"CREATE INDEX by_qty"];

impl Life {
    /// Something happens to the running bridge; afterwards it must go on (or be replaced by one that does).
    pub(super) fn trouble(&mut self, incident: Incident) {
        match incident {
            Incident::Kill | Incident::Point(_) => return,
            Incident::ReplyLost => self.reply_lost(),
            Incident::ReplyLast => self.reply_last(),
            Incident::TargetCut => self.target_cut(),
            Incident::Late(late) => return self.late(late),
            Incident::SourceCut => self.source_cut(),
            Incident::SourceRestart => self.source_restart(),
            Incident::SourceKill => {
                self.source.kill();
                self.rest(0, 300);
                self.source.start_again();
            }
            Incident::TargetRestart => self.target.restart(),
            Incident::TargetKill => {
                self.target.kill();
                self.rest(0, 300);
                self.target.start_again();
            }
            Incident::Replaced => self.replaced(),
        }
        self.progress();
    }

    fn reply_lost(&mut self) {
        let (fired, nth) = (self.target_proxy.fired(), self.rng.u64(1..20));
        self.target_proxy.arm(
            ToServer,
            Match::Pattern(COMMIT.to_vec(), nth),
            Edge::After,
            Action::Hold(ToClient),
        );
        wait_fuse(self, |life| life.target_proxy.fired(), fired);
        self.rest(20, 120);
        self.target_proxy.cut_now();
    }

    /// The answer to COMMIT follows the one to the progress row's UPDATE, if that is one; its number in the packet is known
    /// only roughly.
    fn reply_last(&mut self) {
        let fired = self.target_proxy.fired();
        let skip = self.rng.u64(1..4);
        for sequence in 3..60 {
            let mut pattern = b"Rows matched: 1  Changed: 1  Warnings: 0".to_vec();
            pattern.extend([7, 0, 0, sequence, 0, 0, 0, 0, 0, 0, 0]);
            self.target_proxy.arm(ToClient, Match::Pattern(pattern, skip), Edge::After, Action::Cut);
        }
        // Behind row events it is the second, and the first that says neither "more" nor "in a transaction".
        let committed = [7, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0].to_vec();
        self.target_proxy.arm(ToClient, Match::Pattern(committed, skip), Edge::After, Action::Cut);
        wait_fuse(self, |life| life.target_proxy.fired(), fired);
        self.target_proxy.disarm();
    }

    fn target_cut(&mut self) {
        let (fired, nth) = (self.target_proxy.fired(), self.rng.u64(1..100));
        let edge = if self.rng.bool() { Edge::Before } else { Edge::After };
        self.target_proxy.arm(ToClient, Match::Frame { at_least: 0, nth }, edge, Action::Cut);
        wait_fuse(self, |life| life.target_proxy.fired(), fired);
    }

    /// The old connection stays open at the server's end, and what was sent on it arrives after the bridge has come
    /// back on a new one.
    fn late(&mut self, late: Late) {
        let fired = self.target_proxy.fired();
        let nth = self.rng.u64(1..8);
        let arm = |pattern: &[u8], nth| {
            self.target_proxy.arm(
                ToServer,
                Match::Pattern(pattern.to_vec(), nth),
                Edge::Before,
                Action::Hold(ToServer),
            );
        };
        match late {
            Late::Batch => [GUARD, GUARDED_ROWS].iter().for_each(|pattern| arm(pattern, nth)),
            Late::Commit => arm(COMMIT, nth),
            Late::Piece => arm(PIECE, 1),
            Late::Ddl => DDL.iter().for_each(|pattern| arm(pattern, 1)),
        }
        wait_fuse(self, |life| life.target_proxy.fired(), fired);
        self.target_proxy.disarm();
        self.rest(20, 300);
        self.target_proxy.sever_clients();
        // Late is before the bridge is back, while it comes back, or long after it has gone on.
        match self.rng.u8(..3) {
            0 => {}
            1 => self.rest(0, 120),
            _ => self.progress(),
        }
        self.target_proxy.release_severed();
        self.rest(50, 300);
        self.progress();
        self.target_proxy.close_severed();
    }

    fn source_cut(&mut self) {
        let (fired, nth) = (self.source_proxy.fired(), self.rng.u64(1..300));
        let edge = if self.rng.bool() { Edge::Before } else { Edge::After };
        self.source_proxy.arm(ToClient, Match::Frame { at_least: 0, nth }, edge, Action::Cut);
        wait_fuse(self, |life| life.source_proxy.fired(), fired);
    }

    /// A server that shuts down lets a dump go on for eight seconds, unless it finds that nobody listens.
    fn source_restart(&mut self) {
        std::thread::scope(|scope| {
            let source = &self.source;
            let restart = scope.spawn(move || source.restart());
            while !restart.is_finished() {
                std::thread::sleep(Duration::from_millis(700));
                self.source_proxy.cut_now();
            }
        });
    }

    /// Two bridges of one name: the older one must not commit any more, and must end.
    fn replaced(&mut self) {
        // It must have become the owner: one that becomes it later is right to end the other.
        let own = "message=\"going on from\"";
        wait_until("the bridge owns the target", LIMIT, || self.bridge.log_of_run().contains(own));
        self.rest(0, 200);
        self.bridge.signal("STOP");
        let mut options = self.bridge.options().clone();
        options.set("admin.listen", &format!("\"127.0.0.1:{}\"", crate::support::free_port()));
        let mut second = Bridge::new(options);
        second.run();
        std::mem::swap(&mut self.bridge, &mut second);
        let mut first = second;
        // What the first has in flight may commit until then.
        wait_until("the second owns the target", LIMIT, || self.bridge.log_of_run().contains(own));
        self.progress();
        first.signal("CONT");
        let status = first.wait_ended(Duration::from_secs(30));
        assert_eq!(status.code(), Some(69), "{}", first.log());
        assert!(first.log().contains("BB4008"), "{}", first.log());
        self.keep_log(&first);
    }
}
