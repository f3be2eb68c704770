# The words of the notices in Chinese (Project Fluent, https://projectfluent.org). A letter is a
# message; its attribute `subject` is the Chinese half of the subject line, before the English one.
# A line break here is one in the letter.

## Around every letter

mail =
    { $contact }：

    { $text }

    { $about }

about-system =
    系统：{ $system }（{ $code }）
    租户：{ $tenant }

list-separator = ；

period = { $unit ->
    [working-days] { $number } 个工作日
    [calendar-days] { $number } 日
    [months] { $number } 个月
    [seconds] { $number } 秒
    [working-days-before] 提前 { $number } 个工作日
    [same-as] 与 { $other } 同时届满
    [each-month] 每月 { $number } 次
    [each-year] 每年 { $number } 次
   *[none] 无期限
}

## The way of a tenant

handover = 贵单位申请的云资源已完成配置并开通，共 { $instances } 台实例。试用期为 { $trial }，自本通知送达之日起计算；请在 { $deploy } 内启动部署。
    .subject = 资源开通通知

trial-expired = 试用期已届满，尚未收到测试报告和安全风险评估报告。入站端口已关闭，实例和数据保留；请尽快提交报告。
    .subject = 试用期届满

confirmation-missing = 计划下线日已到，尚未收到贵单位对数据迁移和备份的确认。如仍无确认，将发出第二次通知；在此之前，不会停止实例，也不会清除数据。
    .subject = 请确认迁移和备份

second-notice = 这是第二次通知。自本通知送达之日起 { $grace } 个工作日内仍未确认迁移和备份的，实例将停机；数据须经云服务方两人批准后方可清除。如有异议，请立即联系云服务方。
    .subject = 第二次通知：请确认迁移和备份

rules-ended = 下列安全组规则的期限已届满：{ $rules }。上述规则已停止放行流量。如仍需要，请重新设置安全组。
    .subject = 安全组规则到期

rules-ended-one = { $group }：{ $purpose }

inspection = 贵单位系统 { $month } 的安全检查已完成，发现问题 { $findings } 项。检查报告和优化建议已归档，请在“记录”和“附件”中查看并下载。报告的 SHA-256：{ $report }
    .subject = 安全检查报告

closed = 贵单位的磁盘、内存和密钥已全部清除，每一项均有签名证明，可凭退出证据包独立核验。时间：{ $now }。
    .subject = 下线完成

reminder = 第 { $clause } 条（{ $id }）应由{ $party ->
        [customer] 云服务客户
       *[provider] 云服务方
    }履行的义务{ $state ->
        [overdue] 已逾期
       *[open] 尚未履行
    }，期限：{ $until }（含当日）。标准原文：{ $quote }
    .subject = { $state ->
        [overdue] 逾期提醒
       *[open] 到期提醒
    }

## Contacts

probe = 这是 { $month } 的紧急联系渠道测试，系统未受任何影响。紧急断网时，通知将经此渠道送达。请登录确认已收到，并核对紧急联系人：tenurectl contact acknowledge { $tenant }
    .subject = 紧急联系渠道测试

probe-unanswered = { $customer } 的紧急联系渠道测试（{ $month }）未完成。未送达的渠道：{ $silent }。{ $acknowledged ->
        [yes] 客户已确认收到。
       *[no] 客户尚未确认收到。
    }请联系客户更正紧急联系人。
    .subject = 联系渠道测试未完成

contacts-changed = 贵单位系统的紧急联系人已于 { $now } 由 { $by } 变更，此后 7 天内断网通知仍同时发给您，其他通知不再发送。如非贵单位所为，请立即联系云服务方。
    .subject = 紧急联系人已变更

former-contact = 您是变更前的紧急联系人：紧急联系人已于 { $at } 由 { $by } 变更，此后 { $days } 天内断网通知仍同时发给您。如非贵单位所为，请立即联系云服务方。

## Cuts

cut-announced = 计划临时断开贵单位系统的网络连接，断开后另行通知。原因：{ $reason }。通知时间：{ $now }。
    .subject = 计划断网预告

cut-called-off = 此前预告的断网已取消。说明：{ $reason }。
    .subject = 计划断网取消

cut-title = { $kind ->
    [planned] 计划断网通知
   *[emergency] 紧急断网通知
}
cut-how = { $kind ->
    [planned] 按计划
   *[emergency] 紧急
}
cut-number = 断网编号：#{ $number }（{ $id }）
not-cut-title = 断网更正
more-title = 断网续报
restore-ordered-title = 恢复网络
restored-title = 网络已恢复

drill = 【演练】这是一次应急断网演练：演练期间网络会实际短暂断开并自动恢复，并非真实安全事件。
    .subject = 演练

cut-ordered =
    已于 { $now } 下令{ cut-how }断开贵单位系统的网络连接，断开时刻另行通知。原因：{ $reason }。
    { cut-number }
    .subject = { cut-title }

cut-done =
    贵单位系统的网络连接已于 { $t0 } { cut-how }断开。原因：{ $reason }。
    { cut-number }
    .subject = { cut-title }

cut-on-host =
    云服务方工作人员已在宿主机上紧急断开贵单位系统的网络连接，管理平台当时无响应，本通知由宿主机自动发出。断网的原因和时刻另行通知。本通知文本于 { $now } 预先生成。
    断网标识：{ $id }
    .subject = { cut-title }

cut-reminder =
    贵单位系统的网络连接自 { $t0 } 起仍处于断开状态。原因：{ $reason }。
    { cut-number }
    .subject = 断网提醒

cut-void =
    此前通知的断网未能执行，网络连接保持畅通。说明：{ $details }。
    { cut-number }
    .subject = { not-cut-title }

restore-ordered =
    已于 { $now } 下令恢复贵单位系统的网络连接，恢复时刻另行通知。
    { cut-number }
    .subject = { restore-ordered-title }

restore-done =
    贵单位系统的网络连接已于 { $restored } 恢复。
    { cut-number }
    .subject = { restored-title }

untold =
    关于紧急断网 #{ $number }（客户：{ $customer }）的通知{ $alarm ->
        [phone] 至今均未送达客户，请立即电话通知并登记。
       *[second-contacts] 尚未送达客户。
    }
    { $t0 ->
        [known] 断网时刻
       *[unknown] 断网时刻未知，下令时刻
    }：{ $since }。法定通知期限：{ $until }。当前时间：{ $now }。
    电话：{ $phones }
    登记确认：{ $record }
    .subject = { $alarm ->
        [phone] 请立即电话通知
       *[second-contacts] 断网通知未送达
    }

no-phones = 申请中未填电话

## Joint notices: the head, a line for each system, and how they stand where there is little room

joint-cut = 已于 { $at } 下令{ cut-how }断开贵单位 { $count } 个系统的网络连接，各系统情况如下。原因：{ $reason }。
joint-more = 关于 { $at } 下令的{ cut-how }断网，贵单位 { $count } 个系统的最新情况如下。原因：{ $reason }。
joint-restored = 已于 { $at } 下令恢复贵单位 { $count } 个系统的网络连接，各系统情况如下。
joint-systems = { $count } 个系统

joint-line =
    { $place }. { $system }（{ $code }）：{ $said ->
        [cut] 已于 { $at } 断开
        [not-cut] 未能断开，网络连接保持畅通。说明：{ $details }
        [restore-ordered] 恢复时刻另行通知
        [restored] 已于 { $at } 恢复
       *[cut-ordered] 断开时刻另行通知
    }
    {"   "}断网编号：#{ $number }（{ $id }） 租户：{ $tenant }

joint-short = 系统：{ $systems }
joint-short-some = 系统：{ $systems } 等 { $count } 个，完整清单见邮件或平台
joint-short-separator = 、
joint-short-one = { $system }（{ $said ->
        [cut] 已断开
        [not-cut] 未断开
        [restore-ordered] 恢复已下令
        [restored] 已恢复
       *[cut-ordered] 断网已下令
    }）
