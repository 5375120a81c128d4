//! The lab, played with as a person would, on a paused clock.

use super::*;
use std::future::Future;

const CONFIG: LabConfig = LabConfig {
    miners: 4,
    block_time: Duration::from_secs(2),
    seed: Some(7),
};

async fn in_lab<F: Future<Output = ()>>(config: LabConfig, test: impl FnOnce(Lab) -> F) {
    let run = async { test(Lab::start(config).await.unwrap()).await };
    tokio::task::LocalSet::new().run_until(run).await;
}

fn coins(text: &str) -> Amount {
    text.parse().unwrap()
}

fn balance(picture: &Picture, name: &str) -> Amount {
    let of = |branch: &Branch| branch.balances.iter().find(|b| b.name == name).cloned();
    picture.branches.iter().find_map(of).unwrap().amount
}

async fn told(lab: &Lab, attack: Attack) -> String {
    let mut lines = Vec::new();
    lab.attack(attack, &mut |line| lines.push(line))
        .await
        .unwrap();
    assert!(!lab.is_split() && lab.power(1) == 25.0);
    lines.join("\n")
}

#[tokio::test(start_paused = true)]
async fn a_split_network_forks_and_a_healed_one_agrees() {
    in_lab(CONFIG, async |lab| {
        lab.grow(2).await.unwrap();
        lab.split(&[2, 2]).unwrap();
        lab.grow(3).await.unwrap();
        lab.agree().await.unwrap();
        let forked = lab.picture().unwrap();
        assert_eq!(forked.branches.len(), 2);
        assert_eq!(forked.branches[0].machines, ["m1", "m2"]);
        assert_eq!(forked.branches[1].machines, ["m3", "m4", "wallet"]);
        for branch in &forked.branches {
            assert!(branch.blocks.len() >= 3);
            let next_to = forked.trunk.last().unwrap().height.0 + 1;
            assert_eq!(branch.blocks[0].height.0, next_to);
        }
        let forest = lab.forest(24).unwrap();
        let tips = |stands: Stands| {
            let on = forest.blocks.iter().filter(|block| block.stands == stands);
            on.flat_map(|block| block.tip_of.clone())
                .collect::<Vec<_>>()
        };
        let (best, other) = (tips(Stands::Best), tips(Stands::Elsewhere));
        assert_eq!(best.len() + other.len(), 5, "{forest:?}");
        assert!(best == lab.sides()[0] || best == lab.sides()[1]);
        assert_eq!(lab.people(), ["m1", "m2", "m3", "m4", "alice", "bob"]);
        lab.heal();
        lab.agree().await.unwrap();
        assert_eq!(lab.sides().len(), 1);
        let forest = lab.forest(24).unwrap();
        let lost = forest
            .blocks
            .iter()
            .filter(|block| block.stands == Stands::Nowhere);
        assert!(lost.count() >= 3);
        assert!(
            !forest
                .blocks
                .iter()
                .any(|block| block.stands == Stands::Elsewhere)
        );
        let healed = lab.picture().unwrap();
        assert_eq!(healed.branches.len(), 1);
        assert_eq!(healed.branches[0].machines.len(), 5);
        assert!(healed.branches[0].blocks.is_empty());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_payment_on_the_losing_side_returns_and_is_confirmed_again() {
    in_lab(CONFIG, async |lab| {
        while balance(&lab.picture().unwrap(), "m1") == Amount::ZERO {
            lab.grow(1).await.unwrap();
        }
        lab.agree().await.unwrap();
        lab.split(&[1, 3]).unwrap();
        let id = lab.pay("m1", "alice", coins("2.5")).await.unwrap();
        lab.until("confirmed on the small side", || {
            Ok(lab.machines[0].confirmed(&id)?.is_some())
        })
        .await
        .unwrap();
        lab.until("the large side is better", || {
            let (small, large) = (lab.tip(0)?, lab.tip(1)?);
            Ok(large.work.as_f64() > small.work.as_f64() + 512.0)
        })
        .await
        .unwrap();
        assert_eq!(lab.machines[4].confirmed(&id).unwrap(), None);
        lab.heal();
        lab.until("confirmed everywhere", || {
            let mut everywhere = true;
            for machine in &lab.machines {
                everywhere &= machine.confirmed(&id)?.is_some();
            }
            Ok(everywhere)
        })
        .await
        .unwrap();
        lab.agree().await.unwrap();
        assert_eq!(balance(&lab.picture().unwrap(), "alice"), coins("2.5"));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_majority_takes_its_payment_back_and_a_minority_does_not() {
    in_lab(CONFIG, async |lab| {
        let majority = told(&lab, Attack::Majority).await;
        assert!(majority.contains("Alice's payment is gone"), "{majority}");
        assert_eq!(balance(&lab.picture().unwrap(), "bob"), coins("5"));
        assert_eq!(balance(&lab.picture().unwrap(), "alice"), Amount::ZERO);
        let minority = told(&lab, Attack::Minority).await;
        assert!(minority.contains("Nobody moves"), "{minority}");
        assert_eq!(balance(&lab.picture().unwrap(), "alice"), coins("5"));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_majority_keeps_a_payment_out_only_while_it_goes_on() {
    in_lab(CONFIG, async |lab| {
        let told = told(&lab, Attack::Censor).await;
        assert!(told.contains("back in the mempool"), "{told}");
        assert!(told.contains("m1 has stopped"), "{told}");
        assert_eq!(balance(&lab.picture().unwrap(), "bob"), coins("1"));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn forged_payments_and_made_up_coins_are_refused_whatever_the_hash_power() {
    in_lab(CONFIG, async |lab| {
        let told = told(&lab, Attack::Forge).await;
        assert_eq!(
            told.matches("signature does not match").count(),
            2,
            "{told}"
        );
        assert!(told.contains("m2 answers: block"), "{told}");
        assert!(!told.contains("was taken"), "{told}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_done_is_told_with_what_can() {
    in_lab(CONFIG, async |lab| {
        for sides in [&[4][..], &[2, 1], &[0, 4], &[usize::MAX, 1], &[]] {
            let refused = lab.split(sides).unwrap_err().to_string();
            assert!(refused.contains("expected 4, in two"), "{refused}");
        }
        assert!(lab.set_power(0, 50).is_err() && lab.set_power(5, 50).is_err());
        assert!(lab.set_power(1, 0).is_err() && lab.set_power(1, 100).is_err());
        let nobody = lab.pay("eve", "bob", coins("1")).await.unwrap_err();
        assert!(nobody.to_string().contains("m1, m2, m3, m4, alice, bob"));
        let poor = lab.pay("alice", "bob", coins("1")).await.unwrap_err();
        assert!(poor.to_string().contains("refused: balance 0"), "{poor}");
    })
    .await;
}
